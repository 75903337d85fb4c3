//! What will happen: checked, paths absolute, hashes taken, pure data. Made from a `config`, kept as `plan.toml`.

mod check;
mod document;
mod files;
mod generator;
mod inputs;
mod magic;
mod make;
mod plugin;
mod rounds;
mod teachers;
#[cfg(test)]
mod tests;
mod train;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::config::{
    AugmentConfig as AugmentPlan, BaselineConfig as BaselinePlan, CacheConfig as CachePlan, Combine,
    DiffusionConfig as DiffusionPlan, DitConfig as DitPlan, Format, LimitsConfig as LimitsPlan, LossConfig as LossPlan,
    LossKind, NoiseSchedule, OptimizerConfig as OptimizerPlan, OptimizerKind, RunConfig as RunPlan, Sampler, Schedule,
    SelectRole, SynthConfig as SynthPlan, TemperatureUnit,
};
pub use document::{Document, is_plan};
pub use inputs::verify_inputs;
pub use make::plan;
pub use rounds::{PlannerPlan, RoundStudent, RoundsPlan};
pub use train::{ClassifierPlan, GeneratorTrainPlan, plan_classifier, plan_generator};

/// A whole run. Every number is in its range and every file was there when the plan was made.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    pub run: RunPlan,
    pub data: DataPlan,
    pub generator: GeneratorPlan,
    pub synth: SynthPlan,
    pub rounds: Option<RoundsPlan>,
    pub teacher: TeachersPlan,
    pub select: SelectPlan,
    pub distill: DistillPlan,
    pub baseline: Option<BaselinePlan>,
    pub limits: LimitsPlan,
    /// Every input file by its key in the recipe, such as `teacher.plugin`.
    pub inputs: BTreeMap<String, Input>,
}

/// A file that the run reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Input {
    pub path: PathBuf,
    /// Of the content; of a folder, the SHA-256 of its listing (names and lengths).
    pub sha256: String,
    pub bytes: u64,
}

/// The real images.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataPlan {
    pub format: Format,
    pub classes: usize,
    /// Images are cut to squares of this side as they are decoded; `None` where they have one size already.
    pub size: Option<usize>,
    #[serde(default = "three")]
    pub channels: usize,
    pub train: Option<Files>,
    pub test: Option<Files>,
}

fn three() -> usize {
    3
}

/// The files of one split; the variant fits [`DataPlan::format`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Files {
    Idx { images: PathBuf, labels: PathBuf },
    Cifar { files: Vec<PathBuf> },
    Folder { path: PathBuf },
    Shards { files: Vec<PathBuf> },
}

/// The diffusion model that draws.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratorPlan {
    /// `None` only with a plugin that needs none.
    pub weights: Option<PathBuf>,
    /// SHA-256 of the weights, empty where there are none: the generator's name in every image's provenance.
    pub sha256: String,
    /// What denoises; `None` is Limbeck's own DiT.
    pub plugin: Option<PluginPlan>,
    /// The noise schedule of the plugin's training, and how many steps it has; `None` is what the weights say.
    pub trained: Option<TrainedSchedule>,
}

/// The noise schedule that a generator was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainedSchedule {
    pub steps: usize,
    pub schedule: NoiseSchedule,
}

/// One teacher, or several and how they speak with one voice.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TeachersPlan {
    #[serde(default)]
    pub combine: Combine,
    /// With [`Combine::PerClass`] the name of the teacher that decides each class, otherwise empty.
    #[serde(default)]
    pub classes: Vec<String>,
    /// At least one, by name. A teacher alone is called `teacher`.
    pub members: BTreeMap<String, PluginPlan>,
}

/// A plugin that grades or denoises.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PluginPlan {
    pub plugin: PathBuf,
    /// The pin: 64 lower-case hexadecimal digits. `None` only with `allow_unpinned`.
    pub sha256: Option<String>,
    pub allow_unpinned: bool,
    pub weights: Option<PathBuf>,
    /// A JSON object for the plugin.
    pub config: serde_json::Value,
}

/// Which images stay.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SelectPlan {
    pub policy: Option<PathBuf>,
    pub keep: Keep,
    /// Several policies one after the other; then `policy` is `None` and `keep` everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<LinkPlan>,
    /// What else is known of the images; see the fields of `config::SelectConfig`.
    pub student: Option<PathBuf>,
    pub history: Option<PathBuf>,
    pub external: Option<PathBuf>,
    /// A JSON object for the policy.
    pub config: serde_json::Value,
}

/// One policy of several.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinkPlan {
    pub policy: PathBuf,
    pub role: Option<SelectRole>,
    /// Of what the links before it left.
    pub keep: Keep,
    /// A JSON object for the policy.
    pub config: serde_json::Value,
}

/// How many images stay.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// This share, above 0 to 1.
    Fraction(f32),
    /// This many, at least 1.
    Count(usize),
}

impl Keep {
    /// The number of images that stay out of `total`: at least 1, at most all (0 of an empty pool).
    pub fn of(self, total: usize) -> usize {
        let wanted = match self {
            Self::Fraction(share) => (f64::from(share) * total as f64).round() as usize,
            Self::Count(count) => count,
        };
        wanted.max(1).min(total)
    }
}

/// The student and its training; see the fields of `config::DistillConfig` for ranges and meaning.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DistillPlan {
    pub student: String,
    #[serde(default)]
    pub start: Option<PathBuf>,
    pub epochs: u32,
    pub batch: usize,
    pub temperature: f32,
    #[serde(default)]
    pub temperature_unit: TemperatureUnit,
    pub seeds: Vec<u64>,
    pub checkpoint_every: u64,
    #[serde(default)]
    pub ema: f64,
    #[serde(default)]
    pub loss: LossPlan,
    pub optimizer: OptimizerPlan,
    pub augment: AugmentPlan,
    pub weigher: Option<WeigherPlan>,
    /// Several weighers; then `weigher` is `None`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weighers: Vec<WeigherPlan>,
    pub cache: Option<CachePlan>,
}

/// How much each image counts in each step.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WeigherPlan {
    pub policy: PathBuf,
    /// A JSON object for the policy.
    pub config: serde_json::Value,
}
