//! EfficientNet-B0 (Tan & Le, arXiv 1905.11946), of torchvision's form and names.

use candle_core::Tensor;

use super::layers::{Activation, BatchNorm, Conv, ConvNorm, Linear, Window};
use super::{Network, Output, Shape};
use crate::ops::{global_avg_pool, scale_channels, sigmoid, silu};
use crate::{Init, Params, Result};

/// Expansion, kernel, first stride, outputs and blocks of each stage.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];

/// Channels of the stem and of the features.
const STEM: usize = 32;
const FEATURES: usize = 1280;

pub(super) struct EfficientNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    last: ConvNorm,
    classifier: Linear,
}

impl EfficientNet {
    pub fn new(shape: Shape, params: &Params) -> Result<Self> {
        let features = params.at("features");
        let stem = unit(shape.channels, STEM, Window::three(2), Activation::Silu, &features.at(0))?;
        let (mut blocks, mut inputs) = (Vec::new(), STEM);
        for (stage, (expansion, kernel, first, outputs, count)) in STAGES.into_iter().enumerate() {
            for i in 0..count {
                let window = Window::same(kernel, if i == 0 { first } else { 1 });
                let params = features.at(stage + 1).at(i).at("block");
                blocks.push(Block::new(inputs, outputs, expansion, window, &params)?);
                inputs = outputs;
            }
        }
        let last = unit(inputs, FEATURES, Window::one(1), Activation::Silu, &features.at(STAGES.len() + 1))?;
        let init = (Init::Uniform(1.0 / (shape.classes as f32).sqrt()), Init::Const(0.0));
        let classifier = Linear::initialised(FEATURES, shape.classes, init, &params.at("classifier").at(1))?;
        Ok(Self { stem, blocks, last, classifier })
    }
}

impl Network for EfficientNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Output> {
        let mut x = self.stem.forward(x, train)?;
        for block in &self.blocks {
            x = block.forward(&x, train)?;
        }
        let features = global_avg_pool(&self.last.forward(&x, train)?)?; // [n, 1280]
        Ok(Output { logits: self.classifier.forward(&features)?, features })
    }
}

fn unit(inputs: usize, outputs: usize, window: Window, activation: Activation, params: &Params) -> Result<ConvNorm> {
    let conv = Conv::residual(inputs, outputs, window, &params.at(0))?;
    Ok(ConvNorm::new(conv, BatchNorm::new(outputs, &params.at(1))?, activation))
}

/// MBConv: 1×1 expansion (absent where nothing is expanded), depthwise, squeeze and excitation, 1×1 projection.
struct Block {
    inner: Vec<ConvNorm>,
    excitation: Excitation,
    project: ConvNorm,
    residual: bool,
}

impl Block {
    fn new(inputs: usize, outputs: usize, expansion: usize, window: Window, params: &Params) -> Result<Self> {
        let hidden = inputs * expansion;
        let mut inner = Vec::new();
        if expansion > 1 {
            inner.push(unit(inputs, hidden, Window::one(1), Activation::Silu, &params.at(0))?);
        }
        inner.push(unit(hidden, hidden, window.depthwise(hidden), Activation::Silu, &params.at(inner.len()))?);
        let excitation = Excitation::new(hidden, inputs / 4, &params.at(inner.len()))?;
        let project = unit(hidden, outputs, Window::one(1), Activation::None, &params.at(inner.len() + 1))?;
        Ok(Self { inner, excitation, project, residual: window.stride == 1 && inputs == outputs })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.clone();
        for layer in &self.inner {
            y = layer.forward(&y, train)?;
        }
        let y = self.excitation.forward(&y)?;
        if self.residual { self.project.forward_onto(&y, x, train) } else { self.project.forward(&y, train) }
    }
}

/// Every channel is scaled by what two layers make of the means of all channels.
struct Excitation {
    fc1: Conv,
    fc2: Conv,
}

impl Excitation {
    fn new(channels: usize, squeezed: usize, params: &Params) -> Result<Self> {
        let window = Window::one(1);
        Ok(Self {
            fc1: Conv::he_with_bias(channels, squeezed, window, &params.at("fc1"))?,
            fc2: Conv::he_with_bias(squeezed, channels, window, &params.at("fc2"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, channels, _, _) = x.dims4()?;
        let means = global_avg_pool(x)?.reshape((n, channels, 1, 1))?;
        let scale = sigmoid(&self.fc2.forward(&silu(&self.fc1.forward(&means)?)?)?)?;
        Ok(scale_channels(x, &scale.reshape((n, channels))?)?)
    }
}
