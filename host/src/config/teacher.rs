//! The teacher, or several of them.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// `[teacher]`, or `[[teacher]]` once for each of several: the plugin that grades.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TeacherConfig {
    /// The plugin, a dynamic library. Required.
    pub plugin: PathBuf,
    /// The plugin's SHA-256, as `limbeck backend inspect` prints it. Required unless `allow-unpinned`.
    pub sha256: Option<String>,
    /// Load the plugin whatever its hash is. A plugin is native code: it can do all that you can. Default false.
    #[serde(default)]
    pub allow_unpinned: bool,
    /// A file of weights, handed to the plugin. Default: none.
    pub weights: Option<PathBuf>,
    /// A free table, handed to the plugin as JSON. Default: empty.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// `[[teacher]]` only: what messages and the report call it. Letters, digits, `-`, `_` and `.`. Default `1`, `2`, ….
    pub name: Option<String>,
    /// With `ensemble.combine = "per-class"`: the classes, from 0, that this teacher decides. Default: none.
    #[serde(default)]
    pub classes: Vec<usize>,
    /// With `ensemble.combine = "per-class"`: its own accuracy on validation images, from 0 to 1, for all classes or a list
    /// of one for each. What no teacher claims under `classes` goes to the most accurate. Default: none.
    pub accuracy: Option<Accuracy>,
}

/// `[ensemble]`: how several teachers speak with one voice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EnsembleConfig {
    /// `mean-logits`, `mean-probabilities` (its logarithms are the logits) or `per-class` (each class by the teacher that
    /// decides it). Default `mean-logits`.
    pub combine: Combine,
}

/// How the answers of several teachers become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    #[default]
    MeanLogits,
    MeanProbabilities,
    PerClass,
}

/// `[teacher]` alone, or the list of all `[[teacher]]`.
#[derive(Clone, Debug)]
pub enum TeachersConfig {
    One(Box<TeacherConfig>),
    Several(Vec<TeacherConfig>),
}

impl<'de> Deserialize<'de> for TeachersConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        // An untagged enum would do, but for its messages: they name neither key nor place.
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = TeachersConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table [teacher], or tables [[teacher]]")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let one = TeacherConfig::deserialize(MapAccessDeserializer::new(map))?;
                Ok(TeachersConfig::One(Box::new(one)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(TeachersConfig::Several)
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// One share for all classes, or one for each.
#[derive(Clone, Debug, PartialEq)]
pub enum Accuracy {
    All(f64),
    Each(Vec<f64>),
}

impl<'de> Deserialize<'de> for Accuracy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrEach;
        impl<'de> Visitor<'de> for AllOrEach {
            type Value = Accuracy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a list of one number a class")
            }

            fn visit_f64<E>(self, share: f64) -> Result<Self::Value, E> {
                Ok(Accuracy::All(share))
            }

            fn visit_i64<E>(self, share: i64) -> Result<Self::Value, E> {
                Ok(Accuracy::All(share as f64))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Accuracy::Each)
            }
        }
        deserializer.deserialize_any(AllOrEach)
    }
}
