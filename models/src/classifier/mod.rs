//! Image classifiers: the students that the host trains and the teachers that plugins serve.
//!
//! Tensor names are those of torchvision and, for the CIFAR families, of the distillation papers' repository (CRD), so that
//! a checkpoint loads in PyTorch by name. Fresh parameters follow the reference's initialisation.

mod catalogue;
mod conv;
mod convnext;
mod detect;
mod flow;
mod layers;
mod lenet;
mod mobile;
mod mode;
mod resnet;
mod shufflenet;
mod spelling;
mod vgg;
mod vit;
mod wide;

use candle_core::Tensor;

pub use self::catalogue::{build, names, require, usual_size};
pub use self::detect::{Detected, detect, detect_sizes};
pub use self::mode::{Mode, Noise};
use crate::Result;

/// What a network makes of a batch.
pub struct Output {
    /// `[n, classes]`, before the softmax.
    pub logits: Tensor,
    /// `[n, features]`: the input of the last linear layer.
    pub features: Tensor,
}

/// A classifier of normalised f32 images, `[n, channels, size, size]`.
pub trait Network: Send + Sync {
    /// The features are those before a dropout.
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output>;
}

/// The sizes that a classifier is built for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub classes: usize,
    /// Channels of the images: 1 or 3.
    pub channels: usize,
    /// Height and width of the images in pixels.
    pub size: usize,
}
