//! ShuffleNetV2 (Ma et al., arXiv 1807.11164), ×1.0, of torchvision's form and names.

use candle_core::Tensor;

use super::conv::{Conv, ConvNorm, Window};
use super::layers::{BatchNorm, Linear};
use super::{Mode, Network, Output, Shape};
use crate::ops::{Activation, global_avg_pool, max_pool2d, shuffle_channels};
use crate::{Params, Result};

/// Units and channels of each stage.
const STAGES: [(usize, usize); 3] = [(4, 116), (8, 232), (4, 464)];

/// Channels of the stem and of the features.
const STEM: usize = 24;
const FEATURES: usize = 1024;

pub(super) struct ShuffleNetV2 {
    stem: ConvNorm,
    units: Vec<Unit>,
    last: ConvNorm,
    fc: Linear,
}

impl ShuffleNetV2 {
    pub fn new(shape: Shape, params: &Params) -> Result<Self> {
        let relu = Activation::Relu;
        let stem = layer(shape.channels, STEM, Window::three(2), relu, &params.at("conv1"), 0)?;
        let (mut units, mut inputs) = (Vec::new(), STEM);
        for (stage, (count, outputs)) in STAGES.into_iter().enumerate() {
            let params = params.at(format!("stage{}", stage + 2));
            for i in 0..count {
                units.push(Unit::new(inputs, outputs, i == 0, &params.at(i))?);
                inputs = outputs;
            }
        }
        let last = layer(inputs, FEATURES, Window::one(1), relu, &params.at("conv5"), 0)?;
        Ok(Self { stem, units, last, fc: Linear::new(FEATURES, shape.classes, &params.at("fc"))? })
    }
}

impl Network for ShuffleNetV2 {
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let train = mode.trains();
        let mut x = max_pool2d(&self.stem.forward(x, train)?, 3, 2, 1)?;
        for unit in &self.units {
            x = unit.forward(&x, train)?;
        }
        let features = global_avg_pool(&self.last.forward(&x, train)?)?; // [n, 1024]
        Ok(Output { logits: self.fc.forward(&features)?, features })
    }
}

/// Convolution `index`, normalisation `index + 1`, activation.
fn layer(
    inputs: usize,
    outputs: usize,
    window: Window,
    activation: Activation,
    params: &Params,
    index: usize,
) -> Result<ConvNorm> {
    let conv = Conv::plain(inputs, outputs, window, &params.at(index))?;
    Ok(ConvNorm::new(conv, BatchNorm::new(outputs, &params.at(index + 1))?, activation))
}

/// Half of the channels pass unchanged (through a branch of their own where the image is halved), half through three
/// convolutions; then the channels are shuffled.
struct Unit {
    /// Empty where the left half passes unchanged.
    left: Vec<ConvNorm>,
    right: Vec<ConvNorm>,
}

impl Unit {
    fn new(inputs: usize, outputs: usize, halves: bool, params: &Params) -> Result<Self> {
        let width = outputs / 2;
        let (entering, stride) = if halves { (inputs, 2) } else { (width, 1) };
        let (one, depthwise) = (Window::one(1), |channels| Window::three(stride).depthwise(channels));
        let (left_at, right_at) = (params.at("branch1"), params.at("branch2"));
        let left = if halves {
            vec![
                layer(inputs, inputs, depthwise(inputs), Activation::None, &left_at, 0)?,
                layer(inputs, width, one, Activation::Relu, &left_at, 2)?,
            ]
        } else {
            Vec::new()
        };
        let right = vec![
            layer(entering, width, one, Activation::Relu, &right_at, 0)?,
            layer(width, width, depthwise(width), Activation::None, &right_at, 3)?,
            layer(width, width, one, Activation::Relu, &right_at, 5)?,
        ];
        Ok(Self { left, right })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let through = |layers: &[ConvNorm], x: Tensor| layers.iter().try_fold(x, |x, layer| layer.forward(&x, train));
        let (left, right) = if self.left.is_empty() {
            let half = x.dim(1)? / 2;
            (x.narrow(1, 0, half)?, x.narrow(1, half, half)?)
        } else {
            (through(&self.left, x.clone())?, x.clone())
        };
        let right = through(&self.right, right)?;
        Ok(shuffle_channels(&Tensor::cat(&[&left, &right], 1)?, 2)?)
    }
}
