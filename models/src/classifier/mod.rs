//! Image classifiers: the students that the host trains and the teachers that plugins serve.
//!
//! Tensor names are those of torchvision (ResNet-18/34) and of the reference repositories (the others), so that a
//! checkpoint loads in PyTorch by name. Fresh parameters follow PyTorch's default initialisation.

mod flow;
mod layers;
mod lenet;
mod resnet;
mod wide;

use candle_core::Tensor;

use crate::{Error, Params, Result};

/// What a network makes of a batch.
pub struct Output {
    /// `[n, classes]`, before the softmax.
    pub logits: Tensor,
    /// `[n, features]`: the input of the last linear layer.
    pub features: Tensor,
}

/// A classifier of normalised f32 images, `[n, channels, size, size]`.
pub trait Network: Send + Sync {
    /// With `train`, batch normalisation uses the statistics of this batch and updates its running averages.
    fn forward(&self, x: &Tensor, train: bool) -> Result<Output>;
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

/// Every name that [`build`] knows.
pub const NAMES: &[&str] = &[
    "mlp",
    "lenet5",
    "lenet5-half",
    "resnet8",
    "resnet8-half",
    "resnet14",
    "resnet20",
    "resnet18",
    "resnet34",
    "wrn-16-1",
    "wrn-16-2",
    "wrn-40-1",
    "wrn-40-2",
];

/// Builds the network `name`. Fails if there is none, if the image size does not suit it, or if `params` come from a
/// checkpoint that lacks a tensor or holds it in another shape.
pub fn build(name: &str, classes: usize, channels: usize, size: usize, params: &Params) -> Result<Box<dyn Network>> {
    let shape = Shape { classes, channels, size };
    if classes == 0 || channels == 0 || size == 0 {
        return Err(Error::Config(format!("a classifier needs classes, channels and an image size, found {shape:?}")));
    }
    match name {
        "mlp" => Ok(Box::new(lenet::Mlp::new(shape, params)?)),
        "lenet5" => Ok(Box::new(lenet::LeNet::new(shape, lenet::FULL, params)?)),
        "lenet5-half" => Ok(Box::new(lenet::LeNet::new(shape, lenet::HALF, params)?)),
        "resnet8" => Ok(Box::new(resnet::ResNet::new(shape, &resnet::cifar(1, 16), params)?)),
        "resnet8-half" => Ok(Box::new(resnet::ResNet::new(shape, &resnet::cifar(1, 8), params)?)),
        "resnet14" => Ok(Box::new(resnet::ResNet::new(shape, &resnet::cifar(2, 16), params)?)),
        "resnet20" => Ok(Box::new(resnet::ResNet::new(shape, &resnet::cifar(3, 16), params)?)),
        "resnet18" => Ok(Box::new(resnet::ResNet::new(shape, &resnet::torchvision([2, 2, 2, 2], size), params)?)),
        "resnet34" => Ok(Box::new(resnet::ResNet::new(shape, &resnet::torchvision([3, 4, 6, 3], size), params)?)),
        "wrn-16-1" => Ok(Box::new(wide::WideResNet::new(shape, 16, 1, params)?)),
        "wrn-16-2" => Ok(Box::new(wide::WideResNet::new(shape, 16, 2, params)?)),
        "wrn-40-1" => Ok(Box::new(wide::WideResNet::new(shape, 40, 1, params)?)),
        "wrn-40-2" => Ok(Box::new(wide::WideResNet::new(shape, 40, 2, params)?)),
        _ => Err(Error::Config(format!("there is no network `{name}`; there are {}", NAMES.join(", ")))),
    }
}
