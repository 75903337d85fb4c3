//! MobileNetV2 (Sandler et al., arXiv 1801.04381), of torchvision's form and names.

use candle_core::Tensor;

use super::layers::{Activation, BatchNorm, Conv, ConvNorm, Linear, Window};
use super::{Network, Output, Shape};
use crate::ops::global_avg_pool;
use crate::{Init, Params, Result};

/// Expansion, outputs, blocks and first stride of each stage.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

/// Channels of the stem and of the features.
const STEM: usize = 32;
const FEATURES: usize = 1280;

pub(super) struct MobileNetV2 {
    stem: ConvNorm,
    blocks: Vec<Block>,
    last: ConvNorm,
    classifier: Linear,
}

impl MobileNetV2 {
    pub fn new(shape: Shape, params: &Params) -> Result<Self> {
        let features = params.at("features");
        let stem = unit(shape.channels, STEM, Window::three(2), &features.at(0))?;
        let (mut blocks, mut inputs) = (Vec::new(), STEM);
        for (expansion, outputs, count, first) in STAGES {
            for i in 0..count {
                let stride = if i == 0 { first } else { 1 };
                let params = features.at(blocks.len() + 1).at("conv");
                blocks.push(Block::new(inputs, outputs, expansion, stride, &params)?);
                inputs = outputs;
            }
        }
        let last = unit(inputs, FEATURES, Window::one(1), &features.at(blocks.len() + 1))?;
        let init = (Init::Normal(0.01), Init::Const(0.0));
        let classifier = Linear::initialised(FEATURES, shape.classes, init, &params.at("classifier").at(1))?;
        Ok(Self { stem, blocks, last, classifier })
    }
}

impl Network for MobileNetV2 {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Output> {
        let mut x = self.stem.forward(x, train)?;
        for block in &self.blocks {
            x = block.forward(&x, train)?;
        }
        let features = global_avg_pool(&self.last.forward(&x, train)?)?; // [n, 1280]
        Ok(Output { logits: self.classifier.forward(&features)?, features })
    }
}

/// Convolution `0`, normalisation `1`, ReLU6.
fn unit(inputs: usize, outputs: usize, window: Window, params: &Params) -> Result<ConvNorm> {
    let conv = Conv::residual(inputs, outputs, window, &params.at(0))?;
    Ok(ConvNorm::new(conv, BatchNorm::new(outputs, &params.at(1))?, Activation::Relu6))
}

/// 1×1 expansion (absent where nothing is expanded), 3×3 depthwise, 1×1 projection without an activation.
struct Block {
    inner: Vec<ConvNorm>,
    project: ConvNorm,
    residual: bool,
}

impl Block {
    fn new(inputs: usize, outputs: usize, expansion: usize, stride: usize, params: &Params) -> Result<Self> {
        let hidden = inputs * expansion;
        let mut inner = Vec::new();
        if expansion > 1 {
            inner.push(unit(inputs, hidden, Window::one(1), &params.at(0))?);
        }
        let depthwise = Window::three(stride).depthwise(hidden);
        inner.push(unit(hidden, hidden, depthwise, &params.at(inner.len()))?);
        let conv = Conv::residual(hidden, outputs, Window::one(1), &params.at(inner.len()))?;
        let norm = BatchNorm::new(outputs, &params.at(inner.len() + 1))?;
        let project = ConvNorm::new(conv, norm, Activation::None);
        Ok(Self { inner, project, residual: stride == 1 && inputs == outputs })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.clone();
        for layer in &self.inner {
            y = layer.forward(&y, train)?;
        }
        if self.residual { self.project.forward_onto(&y, x, train) } else { self.project.forward(&y, train) }
    }
}
