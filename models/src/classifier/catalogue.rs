//! Every network by name.

use super::convnext::ConvNext;
use super::lenet::{self, LeNet, Mlp};
use super::mobile::{Form, Mobile};
use super::resnet::{self, ResNet};
use super::shufflenet::ShuffleNetV2;
use super::spelling::meant;
use super::vgg::{CifarVgg, Vgg};
use super::vit::VisionTransformer;
use super::wide::WideResNet;
use super::{Network, Shape};
use crate::{Error, Params, Result};

type Built = Result<Box<dyn Network>>;

struct Entry {
    name: &'static str,
    /// Side in pixels of the images that the reference is trained on.
    usual_size: usize,
    build: fn(Shape, &Params) -> Built,
}

fn boxed(network: Result<impl Network + 'static>) -> Built {
    Ok(Box::new(network?))
}

/// One line a network: its name, its usual image size, and how it is built from a shape and parameters.
macro_rules! catalogue {
    ($($name:literal $usual_size:literal => |$shape:ident, $params:ident| $network:expr,)*) => {
        &[$(Entry { name: $name, usual_size: $usual_size, build: |$shape: Shape, $params: &Params| boxed($network) }),*]
    };
}

/// Widths of the CIFAR residual networks: stem and three stages.
const WIDTH_16: [usize; 4] = [16, 16, 32, 64];
const HALF: [usize; 4] = [8, 8, 16, 32];
const TIMES_4: [usize; 4] = [32, 64, 128, 256];

const CATALOGUE: &[Entry] = catalogue! {
    "mlp" 28 => |s, p| Mlp::new(s, p),
    "lenet5" 28 => |s, p| LeNet::new(s, lenet::FULL, p),
    "lenet5-half" 28 => |s, p| LeNet::new(s, lenet::HALF, p),
    "resnet8" 32 => |s, p| ResNet::new(s, &resnet::cifar(1, WIDTH_16), p),
    "resnet8-half" 32 => |s, p| ResNet::new(s, &resnet::cifar(1, HALF), p),
    "resnet14" 32 => |s, p| ResNet::new(s, &resnet::cifar(2, WIDTH_16), p),
    "resnet20" 32 => |s, p| ResNet::new(s, &resnet::cifar(3, WIDTH_16), p),
    "resnet32" 32 => |s, p| ResNet::new(s, &resnet::cifar(5, WIDTH_16), p),
    "resnet44" 32 => |s, p| ResNet::new(s, &resnet::cifar(7, WIDTH_16), p),
    "resnet56" 32 => |s, p| ResNet::new(s, &resnet::cifar(9, WIDTH_16), p),
    "resnet110" 32 => |s, p| ResNet::new(s, &resnet::cifar(18, WIDTH_16), p),
    "resnet8x4" 32 => |s, p| ResNet::new(s, &resnet::cifar(1, TIMES_4), p),
    "resnet32x4" 32 => |s, p| ResNet::new(s, &resnet::cifar(5, TIMES_4), p),
    "cifar-resnet18" 32 => |s, p| ResNet::new(s, &resnet::four_stages([2, 2, 2, 2], false), p),
    "cifar-resnet34" 32 => |s, p| ResNet::new(s, &resnet::four_stages([3, 4, 6, 3], false), p),
    "cifar-resnet50" 32 => |s, p| ResNet::new(s, &resnet::four_stages([3, 4, 6, 3], true), p),
    "wrn-16-1" 32 => |s, p| WideResNet::new(s, 16, 1, p),
    "wrn-16-2" 32 => |s, p| WideResNet::new(s, 16, 2, p),
    "wrn-40-1" 32 => |s, p| WideResNet::new(s, 40, 1, p),
    "wrn-40-2" 32 => |s, p| WideResNet::new(s, 40, 2, p),
    "cifar-vgg8" 32 => |s, p| CifarVgg::new(s, 8, p),
    "cifar-vgg11" 32 => |s, p| CifarVgg::new(s, 11, p),
    "cifar-vgg13" 32 => |s, p| CifarVgg::new(s, 13, p),
    "cifar-vgg16" 32 => |s, p| CifarVgg::new(s, 16, p),
    "cifar-vgg19" 32 => |s, p| CifarVgg::new(s, 19, p),
    "resnet18" 224 => |s, p| ResNet::new(s, &resnet::torchvision([2, 2, 2, 2], s, p), p),
    "resnet34" 224 => |s, p| ResNet::new(s, &resnet::torchvision([3, 4, 6, 3], s, p), p),
    "resnet50" 224 => |s, p| ResNet::new(s, &resnet::bottlenecks([3, 4, 6, 3], 1, s, p), p),
    "resnet101" 224 => |s, p| ResNet::new(s, &resnet::bottlenecks([3, 4, 23, 3], 1, s, p), p),
    "wide_resnet50_2" 224 => |s, p| ResNet::new(s, &resnet::bottlenecks([3, 4, 6, 3], 2, s, p), p),
    "vgg11" 224 => |s, p| Vgg::new(s, 11, false, p),
    "vgg13" 224 => |s, p| Vgg::new(s, 13, false, p),
    "vgg16" 224 => |s, p| Vgg::new(s, 16, false, p),
    "vgg19" 224 => |s, p| Vgg::new(s, 19, false, p),
    "vgg11_bn" 224 => |s, p| Vgg::new(s, 11, true, p),
    "vgg13_bn" 224 => |s, p| Vgg::new(s, 13, true, p),
    "vgg16_bn" 224 => |s, p| Vgg::new(s, 16, true, p),
    "vgg19_bn" 224 => |s, p| Vgg::new(s, 19, true, p),
    "mobilenet_v2" 224 => |s, p| Mobile::new(s, Form::MobileNetV2, p),
    "shufflenet_v2_x1_0" 224 => |s, p| ShuffleNetV2::new(s, p),
    "efficientnet_b0" 224 => |s, p| Mobile::new(s, Form::EfficientNetB0, p),
    "vit_b_16" 224 => |s, p| VisionTransformer::new(s, p),
    "convnext_tiny" 224 => |s, p| ConvNext::new(s, p),
};

/// Every name that [`build`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|entry| entry.name)
}

/// Fails, with the nearest name, if there is no network `name`.
pub fn require(name: &str) -> Result<()> {
    if usual_size(name).is_some() { Ok(()) } else { Err(Error::Config(unknown(name))) }
}

/// The side in pixels of the images that the reference of `name` is trained on, if there is such a network.
pub fn usual_size(name: &str) -> Option<usize> {
    CATALOGUE.iter().find(|entry| entry.name == name).map(|entry| entry.usual_size)
}

/// Builds the network `name`. Fails if there is none, if the image size does not suit it, or if `params` come from a
/// checkpoint that lacks a tensor or holds it in another shape.
pub fn build(name: &str, classes: usize, channels: usize, size: usize, params: &Params) -> Result<Box<dyn Network>> {
    let shape = Shape { classes, channels, size };
    if classes == 0 || channels == 0 || size == 0 {
        return Err(Error::Config(format!("a classifier needs classes, channels and an image size, found {shape:?}")));
    }
    match CATALOGUE.iter().find(|entry| entry.name == name) {
        Some(entry) => (entry.build)(shape, params),
        None => Err(Error::Config(unknown(name))),
    }
}

fn unknown(name: &str) -> String {
    let names: Vec<_> = names().collect();
    let hint = meant(name, &names).map_or("; there".into(), |known| format!(", did you mean `{known}`? There"));
    format!("there is no network `{name}`{hint} are {}", names.join(", "))
}
