//! VGG: torchvision's, with three large linear layers, and the CIFAR form of the distillation papers with one small one.

use candle_core::Tensor;

use super::conv::{Conv, Window};
use super::layers::{BatchNorm, Linear};
use super::{Mode, Network, Output, Shape};
use crate::ops::{Activation, Images, Inference, adaptive_avg_pool2d, global_avg_pool, max_pool2d, relu};
use crate::{Init, Params, Result};

/// Channels of the five stages of both forms.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

/// Dropped in training after either hidden layer of torchvision's.
const DROPOUT: f32 = 0.5;

/// 3×3 convolutions in each stage, by depth.
pub(super) fn stages(depth: usize) -> [usize; 5] {
    match depth {
        8 => [1, 1, 1, 1, 1],
        11 => [1, 1, 2, 2, 2],
        13 => [2, 2, 2, 2, 2],
        16 => [2, 2, 3, 3, 3],
        _ => [2, 2, 4, 4, 4],
    }
}

/// A convolution with or without normalisation, then a ReLU.
struct Layer {
    conv: Conv,
    norm: Option<BatchNorm>,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, norm: bool, params: &Params, index: usize) -> Result<Self> {
        let conv = Conv::he_with_bias(inputs, outputs, Window::three(1), &params.at(index))?;
        let norm = if norm { Some(BatchNorm::new(outputs, &params.at(index + 1))?) } else { None };
        Ok(Self { conv, norm })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match &self.norm {
            Some(norm) => self.conv.normalised(x, norm, train, None, Activation::Relu),
            None => Ok(relu(&self.conv.forward(x)?)?),
        }
    }

    fn infer(&self, pass: &Inference, x: &Images) -> Result<Images> {
        self.conv.infer(pass, x, self.norm.as_ref(), None, Activation::Relu)
    }
}

/// Stages of layers, of which the first are halved.
struct Trunk {
    stages: Vec<Vec<Layer>>,
    halved: usize,
}

impl Trunk {
    /// In one pass where nothing is trained.
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let trained = self.stages.iter().flatten().any(|layer| layer.conv.is_tracked());
        if !train && Inference::suits(x) && !trained {
            let pass = Inference::default();
            let mut x = pass.begin(x)?;
            for (stage, layers) in self.stages.iter().enumerate() {
                x = layers.iter().try_fold(x, |x, layer| layer.infer(&pass, &x))?;
                if stage < self.halved {
                    x = pass.max_pool(&x, 2, 2, 0)?;
                }
            }
            return Ok(pass.finish(x)?);
        }
        let mut x = x.clone();
        for (stage, layers) in self.stages.iter().enumerate() {
            x = layers.iter().try_fold(x, |x, layer| layer.forward(&x, train))?;
            if stage < self.halved {
                x = max_pool2d(&x, 2, 2, 0)?;
            }
        }
        Ok(x)
    }
}

/// torchvision's: features after each of five stages halved, averaged into 7×7, two hidden layers of 4096.
pub(super) struct Vgg {
    trunk: Trunk,
    hidden: [Linear; 2],
    last: Linear,
}

impl Vgg {
    pub fn new(shape: Shape, depth: usize, norm: bool, params: &Params) -> Result<Self> {
        let features = params.at("features");
        let (mut all, mut inputs, mut index) = (Vec::new(), shape.channels, 0);
        for (count, width) in stages(depth).into_iter().zip(WIDTHS) {
            let mut layers = Vec::new();
            for _ in 0..count {
                layers.push(Layer::new(inputs, width, norm, &features, index)?);
                inputs = width;
                // Convolution, normalisation and ReLU are counted.
                index += if norm { 3 } else { 2 };
            }
            all.push(layers);
            index += 1; // the pooling
        }
        let init = (Init::Normal(0.01), Init::Const(0.0));
        let linear =
            |inputs, outputs, index| Linear::initialised(inputs, outputs, init, &params.at("classifier").at(index));
        let hidden = [linear(512 * 7 * 7, 4096, 0)?, linear(4096, 4096, 3)?];
        Ok(Self { trunk: Trunk { stages: all, halved: 5 }, hidden, last: linear(4096, shape.classes, 6)? })
    }
}

impl Network for Vgg {
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let x = self.trunk.forward(x, mode.trains())?;
        let flat = adaptive_avg_pool2d(&x, 7)?.flatten_from(1)?; // [n, 25088]
        let [first, second] = &self.hidden;
        let hidden = mode.dropout(&relu(&first.forward(&flat)?)?, DROPOUT)?; // [n, 4096]
        let features = relu(&second.forward(&hidden)?)?; // [n, 4096]
        Ok(Output { logits: self.last.forward(&mode.dropout(&features, DROPOUT)?)?, features })
    }
}

/// The CIFAR form: batch normalisation, the mean of the last stage, one linear layer.
pub(super) struct CifarVgg {
    trunk: Trunk,
    classifier: Linear,
}

impl CifarVgg {
    pub fn new(shape: Shape, depth: usize, params: &Params) -> Result<Self> {
        let (mut all, mut inputs) = (Vec::new(), shape.channels);
        for (stage, (count, width)) in stages(depth).into_iter().zip(WIDTHS).enumerate() {
            let params = params.at(format!("block{stage}"));
            let mut layers = Vec::new();
            for i in 0..count {
                layers.push(Layer::new(inputs, width, true, &params, 3 * i)?);
                inputs = width;
            }
            all.push(layers);
        }
        let init = (Init::Normal(0.01), Init::Const(0.0));
        let classifier = Linear::initialised(inputs, shape.classes, init, &params.at("classifier"))?;
        // Large images are halved after the fourth stage as well.
        let halved = if shape.size >= 64 { 4 } else { 3 };
        Ok(Self { trunk: Trunk { stages: all, halved }, classifier })
    }
}

impl Network for CifarVgg {
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let features = global_avg_pool(&self.trunk.forward(x, mode.trains())?)?; // [n, 512]
        Ok(Output { logits: self.classifier.forward(&features)?, features })
    }
}
