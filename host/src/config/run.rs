//! The recipe of `limbeck run`: draw images, have them graded, keep some, train a student on them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{BaselineConfig, DataConfig, DistillConfig, EnsembleConfig, NoiseSchedule, RoundsConfig, TeachersConfig};

/// A whole recipe of `limbeck run`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    pub run: RunConfig,
    pub data: DataConfig,
    pub generator: GeneratorConfig,
    pub synth: SynthConfig,
    pub rounds: Option<RoundsConfig>,
    /// `[teacher]`, or several `[[teacher]]`.
    pub teacher: TeachersConfig,
    /// Only with several teachers.
    pub ensemble: Option<EnsembleConfig>,
    #[serde(default)]
    pub select: SelectConfig,
    pub distill: DistillConfig,
    pub baseline: Option<BaselineConfig>,
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunConfig {
    /// The run's name; it goes to `runs/NAME` unless `--out` says otherwise. Letters, digits, `-`, `_` and `.`. Required.
    pub name: String,
    /// Every random number of the run follows from it. Default 0.
    #[serde(default)]
    pub seed: u64,
}

/// `[generator]`: the diffusion model that draws.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratorConfig {
    /// Safetensors file of a DiT that `limbeck train generator` wrote; with `plugin`, a file that is handed to it. Required
    /// unless `plugin` needs none.
    pub weights: Option<PathBuf>,
    /// A dynamic library that denoises. Default: Limbeck's own DiT. The keys below are for it.
    pub plugin: Option<PathBuf>,
    /// The plugin's SHA-256, as `limbeck backend inspect` prints it. Required unless `allow-unpinned`.
    pub sha256: Option<String>,
    /// Load the plugin whatever its hash is. A plugin is native code: it can do all that you can. Default false.
    #[serde(default)]
    pub allow_unpinned: bool,
    /// A free table, handed to the plugin as JSON. Default: empty.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Steps of the noise schedule that the plugin's network was trained with, 2 to 10000; together with `schedule`. Default:
    /// what `weights` say, which is only known of files that `limbeck train generator` wrote.
    pub train_steps: Option<usize>,
    /// That schedule, `linear` or `cosine`.
    pub schedule: Option<NoiseSchedule>,
}

/// `[synth]`: what is drawn, and how.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SynthConfig {
    /// How many images over all rounds, the classes in equal shares unless `[rounds.planner]` says otherwise; 1 to 10
    /// million. Required.
    pub images: usize,
    /// `ddpm` (ancestral, with the learned variance) or `ddim`. Default `ddpm`.
    #[serde(default)]
    pub sampler: Sampler,
    /// Denoising steps an image, 1 to 10000; time grows with it. Default 50.
    #[serde(default = "default::steps")]
    pub steps: usize,
    /// Scale of classifier-free guidance, 0 to 100: 1 is none (and takes half the time), more is cleaner and less varied.
    /// Default 2.
    #[serde(default = "default::guidance")]
    pub guidance: f32,
    /// Guide only this many of the first channels, 1 to as many as the generator draws; DiT's reference code guides 3 of 4.
    /// Default: all of them.
    pub guided_channels: Option<usize>,
    /// `ddim` only: 0 is deterministic, 1 is as noisy as `ddpm`; 0 to 1. Default 0.
    #[serde(default)]
    pub eta: f32,
    /// Images in one pass through the network, 1 to 100000; changes speed and memory, never the images. Default 100.
    #[serde(default = "default::batch")]
    pub batch: usize,
    /// Images a shard file, 1 to 1000000: what is lost at most when the process is killed. Default 500.
    #[serde(default = "default::shard")]
    pub shard: usize,
}

/// How the noise is taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Ancestral sampling with the variance that the network learned.
    #[default]
    Ddpm,
    /// Denoising diffusion implicit models.
    Ddim,
}

/// `[select]`: which images stay.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SelectConfig {
    /// A scorer or selector policy, a WebAssembly component. Default: every image has the same score.
    pub policy: Option<PathBuf>,
    /// The share of images that stays, above 0 to 1. Default 1. Not together with `budget`.
    pub keep: Option<f32>,
    /// The number of images that stays, 1 to `synth.images`. Not together with `keep` or `[rounds]`.
    pub budget: Option<usize>,
    /// `[[select.chain]]`: several policies, each of which decides about what those before it kept. Not together with
    /// `policy`, `keep`, `budget` and `config`. Default: none.
    #[serde(default)]
    pub chain: Vec<LinkConfig>,
    /// A finished student (`checkpoints/…/student.safetensors` of an earlier run): gives policies the columns `student.…`
    /// and `kl`. Default: none, and with `[rounds]` that of the first seed after the round before. In the first round there is
    /// none yet: a policy that asks for these columns then lets the first images stay, as many as it may keep.
    pub student: Option<PathBuf>,
    /// The history that an earlier training over the same images left (`history/….safetensors` of a run with the same
    /// `[synth]` and seed): gives policies the columns `history.…`. Default: none.
    pub history: Option<PathBuf>,
    /// Scores from elsewhere, such as CLIP's probability of the class: a text file of lines `id,score`. Gives policies the
    /// column `external`. Default: none.
    pub external: Option<PathBuf>,
    /// A free table, handed to the policy as JSON. Default: empty.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// `[[select.chain]]`: one policy of several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinkConfig {
    /// A scorer or selector policy, a WebAssembly component. Required.
    pub policy: PathBuf,
    /// `scorer` or `selector`, for a component that is both. Default: what it is, scorer before selector.
    pub role: Option<SelectRole>,
    /// The share of the images left by the links before it that stays, above 0 to 1. Default 1. Not together with `budget`.
    pub keep: Option<f32>,
    /// The number of images that stays, 1 to `synth.images`. Not together with `keep` or `[rounds]`.
    pub budget: Option<usize>,
    /// A free table, handed to the policy as JSON. Default: empty.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// What a component is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectRole {
    Scorer,
    Selector,
}

/// `[limits]`: what a policy may use in one call. Passing a limit stops the run with a message.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsConfig {
    /// WebAssembly instructions a call, roughly; deterministic. 1000 to 10^15. Default 10^10.
    pub fuel: u64,
    /// Memory of a policy in MiB, 1 to 4096. Default 256.
    pub memory_mib: u64,
    /// Wall time of a call in seconds, a guard behind the fuel; above 0 to 86400. Default 30.
    pub seconds: f64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { fuel: 10_000_000_000, memory_mib: 256, seconds: 30.0 }
    }
}

mod default {
    pub fn steps() -> usize {
        50
    }
    pub fn guidance() -> f32 {
        2.0
    }
    pub fn batch() -> usize {
        100
    }
    pub fn shard() -> usize {
        500
    }
}
