//! The recipes of `limbeck train`: teachers and small generators from real images.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AugmentConfig, DataConfig, OptimizerConfig};

/// A whole recipe of `limbeck train classifier`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierRecipe {
    pub train: ClassifierTrainConfig,
    pub data: DataConfig,
}

/// `[train]` of a classifier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierTrainConfig {
    /// A name for the weights. Letters, digits, `-`, `_` and `.`. Required.
    pub name: String,
    /// Every random number of the training follows from it. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// The network, such as `lenet5`, `resnet8` or `wrn-16-2`; docs/networks.md has them all. Required.
    pub network: String,
    /// Weights to go on from, of this very network: a safetensors file or PyTorch's `.pth`. Default: fresh ones, by the seed.
    pub start: Option<PathBuf>,
    /// Passes over the training images, 1 to 100000. Required.
    pub epochs: u32,
    /// Images a step, 1 to 100000. The last images of an epoch that don't fill a batch are left out of it. Default 128.
    #[serde(default = "default::batch")]
    pub batch: usize,
    /// Train on this many images, drawn by seed; 1 to all. Default: all. A weaker teacher comes from fewer.
    pub images: Option<usize>,
    /// Steps between resume points, 1 to 1000000. Default 200.
    #[serde(default = "default::checkpoint_every")]
    pub checkpoint_every: u64,
    /// Threads that make batches ahead of time, 1 to 256; each holds up to three batches. The result does not depend on it.
    /// Default: one for every four cores.
    pub workers: Option<usize>,
    /// Decay of the moving average of the weights, 0 (none) to below 1; where there is one, it is what is judged and kept.
    /// Default 0.
    #[serde(default)]
    pub ema: f64,
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    #[serde(default)]
    pub augment: AugmentConfig,
}

/// A whole recipe of `limbeck train generator`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratorRecipe {
    pub train: GeneratorTrainConfig,
    pub data: DataConfig,
}

/// `[train]` of a generator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratorTrainConfig {
    /// A name for the weights. Letters, digits, `-`, `_` and `.`. Required.
    pub name: String,
    /// Every random number of the training follows from it. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// Weights to go on from, that an earlier training of the same model wrote. Default: fresh ones, by the seed.
    pub start: Option<PathBuf>,
    /// Passes over the training images, 1 to 100000. Required.
    pub epochs: u32,
    /// Images a step, 1 to 100000. The last images of an epoch that don't fill a batch are left out of it. Default 128.
    #[serde(default = "default::batch")]
    pub batch: usize,
    /// Steps between resume points, 1 to 1000000. Default 200.
    #[serde(default = "default::checkpoint_every")]
    pub checkpoint_every: u64,
    /// The share of images that lose their label, which is what makes guidance possible; 0 to below 1. Default 0.1.
    #[serde(default = "default::label_dropout")]
    pub label_dropout: f32,
    /// Decay of the moving average of the weights, which is what is kept; 0 to below 1. Default 0.999.
    #[serde(default = "default::ema")]
    pub ema: f64,
    pub model: DitConfig,
    #[serde(default)]
    pub diffusion: DiffusionConfig,
    #[serde(default)]
    pub optimizer: OptimizerConfig,
}

/// `[train.model]`: the shape of a DiT.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DitConfig {
    /// Side of a patch in pixels; divides the image's side. 1 to 64. Required.
    pub patch: usize,
    /// Width of a token, 8 to 8192; `heads` divides it. Required.
    pub width: usize,
    /// Blocks, 1 to 256. Required.
    pub depth: usize,
    /// Attention heads a block, 1 to 256. Required.
    pub heads: usize,
}

/// `[train.diffusion]`: how noise is added.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiffusionConfig {
    /// Noise levels, 10 to 10000. Default 1000.
    pub steps: usize,
    /// `cosine` or `linear`. Default `cosine`.
    pub schedule: NoiseSchedule,
}

impl Default for DiffusionConfig {
    fn default() -> Self {
        Self { steps: 1000, schedule: NoiseSchedule::Cosine }
    }
}

/// How the noise level grows with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseSchedule {
    /// Improved DDPM, eq. 17.
    Cosine,
    /// DDPM: β from 1e-4 to 0.02 (at 1000 levels).
    Linear,
}

mod default {
    pub fn batch() -> usize {
        128
    }
    pub fn checkpoint_every() -> u64 {
        200
    }
    pub fn label_dropout() -> f32 {
        0.1
    }
    pub fn ema() -> f64 {
        0.999
    }
}
