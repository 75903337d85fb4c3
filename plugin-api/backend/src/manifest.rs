//! What a plugin says about itself (the manifest) and about one instance with its weights (the description).
//!
//! Unknown fields are ignored, so that a newer plugin can say more to a newer host.

use serde::{Deserialize, Serialize};

/// From which threads an instance may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threads {
    /// Always from one and the same thread, its destruction too.
    Single,
    /// From any thread, one call at a time.
    Serial,
    /// From any threads at once.
    Concurrent,
}

/// The size of one image or of one diffusion state, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSize {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

/// What holds for every instance of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub licence: String,
    /// Of `classify`, `denoise` and `vjp`.
    pub operations: Vec<String>,
    /// Of `cpu` and `cuda`.
    pub devices: Vec<String>,
    /// Of `f32`.
    pub dtypes: Vec<String>,
    pub threads: Threads,
    /// The same input gives the same bytes.
    pub deterministic: bool,
    /// Set when it does not depend on the weights.
    #[serde(default)]
    pub classes: Option<usize>,
    #[serde(default)]
    pub input: Option<InputSize>,
    #[serde(default)]
    pub features: Option<usize>,
}

impl Manifest {
    /// A concurrent, deterministic f32 backend on the CPU with no operations yet; change what differs.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            licence: "unknown".into(),
            operations: Vec::new(),
            devices: vec!["cpu".into()],
            dtypes: vec!["f32".into()],
            threads: Threads::Concurrent,
            deterministic: true,
            classes: None,
            input: None,
            features: None,
        }
    }
}

/// What holds for one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// How many classes the logits have, or a class condition may name.
    pub classes: usize,
    pub input: InputSize,
    /// The width of the penultimate features, if the instance gives them.
    #[serde(default)]
    pub features: Option<usize>,
    /// Whether a denoiser also gives the variance.
    #[serde(default)]
    pub variance: bool,
    /// The network's name, for reports.
    #[serde(default)]
    pub network: Option<String>,
}
