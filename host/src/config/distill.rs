//! How a network is trained: the student's training, and what `train` recipes share with it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[distill]`: the student and its training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DistillConfig {
    /// The student's network, such as `lenet5`, `resnet8` or `wrn-16-2`; docs/networks.md has them all. Required.
    pub student: String,
    /// Weights that the student begins with, of this very network: a safetensors file or PyTorch's `.pth`. Default: fresh
    /// ones, by the seed.
    pub start: Option<PathBuf>,
    /// Passes over the kept images, 1 to 100000. Required.
    pub epochs: u32,
    /// Images a step, 1 to 100000. The last images of an epoch that don't fill a batch are left out of it. Default 64.
    #[serde(default = "default::batch")]
    pub batch: usize,
    /// Softens the teacher's and the student's logits, above 0 to 1000. Default 4.
    #[serde(default = "default::temperature")]
    pub temperature: f32,
    /// What `temperature` counts: `logits`, the same for all images, or `logit-std`, standard deviations of the teacher's
    /// logits of each image, so that the teacher is softened alike whatever the size of its logits (after Sun et al., arXiv
    /// 2403.01427, where teacher and student are each divided by their own); 2 is usual then. Not together with the losses
    /// `kd-standardised`, which divides by deviations itself, and `logit-mse`. Default `logits`.
    #[serde(default)]
    pub temperature_unit: TemperatureUnit,
    /// One student is trained for each; the report gives mean and spread. 1 to 100 different numbers. Default `[0]`.
    #[serde(default = "default::seeds")]
    pub seeds: Vec<u64>,
    /// Steps between resume points, 1 to 1000000: what is lost at most when the process is killed. Default 200.
    #[serde(default = "default::checkpoint_every")]
    pub checkpoint_every: u64,
    /// Decay of the moving average of the weights and running statistics, 0 (none) to below 1; where there is one, it is what is
    /// judged and kept. Default 0.
    #[serde(default)]
    pub ema: f64,
    #[serde(default)]
    pub loss: LossConfig,
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    #[serde(default)]
    pub augment: AugmentConfig,
    pub weigher: Option<WeigherConfig>,
    /// `[[distill.weighers]]`: several weighers, whose weights are multiplied. Not together with `weigher`. Default: none.
    #[serde(default)]
    pub weighers: Vec<WeigherConfig>,
    /// Default: the teacher is asked for every image of every step.
    pub cache: Option<CacheConfig>,
}

/// What the temperature counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemperatureUnit {
    #[default]
    Logits,
    LogitStd,
}

/// `[distill.cache]`: keeps the teacher's logits on disk, by teacher and image, so that no image is paid for twice.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CacheConfig {
    /// How many variations of each image `[distill.augment]` makes, one an epoch in turn; all seeds share them. 0: every
    /// step of every student has its own, which only another student with the same seeds and batches meets again. 0 to
    /// 100000; above 0 not together with `mixup` and `cutmix`. Default 8.
    pub variations: u32,
    /// MiB on the disk, 1 to 10000000, for all teachers in the folder together. What doesn't fit is asked again. Default
    /// 1024.
    pub size_mib: u64,
    /// Where it lies; runs that name the same folder share it. Then the last bits of a result can depend on which of them
    /// came first, if the teacher's answer for an image depends on the images beside it (`limbeck backend check` tells).
    /// Default: `cache` in the run directory.
    pub folder: Option<PathBuf>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { variations: 8, size_mib: 1024, folder: None }
    }
}

/// `[distill.loss]`: what the student's training makes small, a sum of up to three parts. A weigher's weights count in each.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LossConfig {
    /// What compares the student's logits with the teacher's: `kd`, `kd-standardised`, `dkd`, `dist` or `logit-mse`. All but
    /// `logit-mse` soften by `distill.temperature`. Default `kd`.
    pub kind: LossKind,
    /// How much that counts, 0 to 1000. Default 1.
    pub weight: f64,
    /// How much the cross-entropy to the images' classes counts, 0 to 1000. Default 0.
    pub cross_entropy: f64,
    /// How much the squared difference between the teacher's features, the input of its last layer, and the student's counts,
    /// 0 to 1000; a linear map to the teacher's width is learnt along. Needs a teacher that gives features. Default 0.
    pub hint: f64,
    /// `dkd` only: α, the weight of the target class against the others, 0 to 1000. Default 1.
    pub dkd_alpha: f64,
    /// `dkd` only: β, the weight of the others among themselves, 0 to 1000. Default 8.
    pub dkd_beta: f64,
    /// `dist` only: β, the weight of the correlation over the classes of an image, 0 to 1000. Default 1.
    pub dist_beta: f64,
    /// `dist` only: γ, the weight of the correlation over the images of a class, 0 to 1000. Default 1.
    pub dist_gamma: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            kind: LossKind::Kd,
            weight: 1.0,
            cross_entropy: 0.0,
            hint: 0.0,
            dkd_alpha: 1.0,
            dkd_beta: 8.0,
            dist_beta: 1.0,
            dist_gamma: 1.0,
        }
    }
}

/// How the student's logits are compared with the teacher's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Kullback-Leibler divergence of the softened probabilities (Hinton et al., arXiv 1503.02531).
    Kd,
    /// The same of logits brought to mean 0 and deviation 1 (Sun et al., arXiv 2403.01427); for 3 classes or more.
    KdStandardised,
    /// Target class and other classes apart (Zhao et al., arXiv 2203.08679).
    Dkd,
    /// Correlation of the softened probabilities (Huang et al., arXiv 2205.10536).
    Dist,
    /// Squared difference of the logits.
    LogitMse,
}

/// `[distill.optimizer]` and `[train.optimizer]`: how gradients become steps.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OptimizerConfig {
    /// `sgd` or `adamw`. Default `adamw`.
    pub kind: OptimizerKind,
    /// Peak learning rate, above 0 to 100. Default 0.001.
    pub lr: f64,
    /// `sgd` only, 0 to below 1. Default 0.9.
    pub momentum: f64,
    /// `sgd` only: Nesterov's form of the momentum. Default false.
    pub nesterov: bool,
    /// 0 to 1; decoupled in `adamw`, part of the gradient in `sgd`. Default 0.0005.
    pub weight_decay: f64,
    /// `cosine` (down to 0), `step` (times `gamma` at each milestone) or `constant`. Default `cosine`.
    pub schedule: Schedule,
    /// Epochs over which the learning rate rises linearly from 0, 0 to `epochs`. Default 0.
    pub warmup_epochs: f64,
    /// `step` only: epochs at which the rate falls, rising numbers. Default empty.
    pub milestones: Vec<u32>,
    /// `step` only: what the rate is multiplied by, above 0 to 1. Default 0.1.
    pub gamma: f64,
    /// All gradients are scaled so that their norm is at most this, above 0 to 1000000. Default: off; 1 for generators.
    pub clip_norm: Option<f64>,
    /// Steps whose mean gradient makes one update of the parameters, 1 to 10000. The rate goes on from step to step; at the
    /// very end, gradients that don't make up an update are dropped. Default 1.
    pub accumulate: u32,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            lr: 1e-3,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 5e-4,
            schedule: Schedule::Cosine,
            warmup_epochs: 0.0,
            milestones: Vec::new(),
            gamma: 0.1,
            clip_norm: None,
            accumulate: 1,
        }
    }
}

/// The rule that turns gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    Sgd,
    Adamw,
}

/// How the learning rate changes over the epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    Cosine,
    Step,
    Constant,
}

/// `[distill.augment]` and `[train.augment]`: how images are varied before each step. All off by default. A random crop comes first, then RandAugment, then
/// colour jitter, then the rest.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AugmentConfig {
    /// Pad by this many pixels on each side and crop at random, 0 to 64. Default 0.
    pub crop_padding: usize,
    /// Turn by up to this many degrees either way, 0 to 180. Default 0.
    pub rotate: f32,
    /// Mix pairs of images; the share is drawn from Beta(a, a) with this a, 0 (off) to 100. To weighers and in the history a
    /// mixed image is the one with the larger share. Default 0.
    pub mixup: f32,
    /// Paste a box of another image; its area is drawn from Beta(a, a) with this a, 0 (off) to 100. Default 0.
    pub cutmix: f32,
    /// Mirror half of the images left to right. Not for digits. Default false.
    pub flip: bool,
    /// Crop a part of each image at random, of at least this share of its area and a side ratio of 3/4 to 4/3, and resize it to
    /// the whole; 0 (off) to 1. 0.08 is usual for photographs. Default 0.
    pub resized_crop: f64,
    /// RandAugment: how many random changes each image goes through, 0 (off) to 10. Default 0.
    pub rand_augment: usize,
    /// RandAugment: how strong they are, 0 to 30. Default 9.
    pub rand_augment_magnitude: u32,
    /// Colour jitter: brightness is multiplied by 1 up to this much more or less, 0 (off) to 1. Default 0.
    pub brightness: f32,
    /// The same of contrast, 0 (off) to 1. Default 0.
    pub contrast: f32,
    /// The same of saturation, 0 (off) to 1. Default 0.
    pub saturation: f32,
    /// Turn the hue by up to this part of a circle either way, 0 (off) to 0.5. Default 0.
    pub hue: f32,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            crop_padding: 0,
            rotate: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            flip: false,
            resized_crop: 0.0,
            rand_augment: 0,
            rand_augment_magnitude: 9,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
        }
    }
}

/// `[distill.weigher]`: how much each image counts in each step. Without it all count the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WeigherConfig {
    /// A weigher policy, a WebAssembly component. Required.
    pub policy: PathBuf,
    /// A free table, handed to the policy as JSON. Default: empty.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// `[baseline]`: what the student is compared with. Without this table, with the teacher alone.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaselineConfig {
    /// Also train the same student on as many real training images as were kept. Needs `data.train`. Default true.
    #[serde(default = "default::real")]
    pub real: bool,
}

mod default {
    pub fn batch() -> usize {
        64
    }
    pub fn temperature() -> f32 {
        4.0
    }
    pub fn seeds() -> Vec<u64> {
        vec![0]
    }
    pub fn checkpoint_every() -> u64 {
        200
    }
    pub fn real() -> bool {
        true
    }
}
