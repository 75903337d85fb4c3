//! The small networks for digits: a perceptron with one hidden layer, and LeNet-5 as in DAFL's code.

use candle_core::Tensor;

use super::conv::{Conv, Window};
use super::layers::Linear;
use super::{Mode, Network, Output, Shape};
use crate::ops::{max_pool2d, relu};
use crate::{Error, Params, Result};

/// Hidden units of the perceptron.
const HIDDEN: usize = 32;

pub(super) struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    pub fn new(shape: Shape, params: &Params) -> Result<Self> {
        let inputs = shape.channels * shape.size * shape.size;
        let fc1 = Linear::new(inputs, HIDDEN, &params.at("fc1"))?;
        Ok(Self { fc1, fc2: Linear::new(HIDDEN, shape.classes, &params.at("fc2"))? })
    }
}

impl Network for Mlp {
    fn forward(&self, x: &Tensor, _mode: Mode<'_>) -> Result<Output> {
        let features = relu(&self.fc1.forward(&x.flatten_from(1)?)?)?; // [n, 32]
        Ok(Output { logits: self.fc2.forward(&features)?, features })
    }
}

/// Outputs of the three convolutions and of the first linear layer.
pub(super) type Widths = [usize; 4];
pub(super) const FULL: Widths = [6, 16, 120, 84];
pub(super) const HALF: Widths = [3, 8, 60, 42];

pub(super) struct LeNet {
    conv1: Conv,
    conv2: Conv,
    conv3: Conv,
    fc1: Linear,
    fc2: Linear,
}

impl LeNet {
    /// For images of 32 px, or of 28 px padded to them.
    pub fn new(shape: Shape, [c1, c2, c3, f1]: Widths, params: &Params) -> Result<Self> {
        let padding = match shape.size {
            28 => 2,
            32 => 0,
            size => return Err(Error::Config(format!("lenet5 takes images of 28 or 32 px, not {size}"))),
        };
        let five = |padding| Window { padding, ..Window::valid(5, 1) };
        Ok(Self {
            conv1: Conv::with_bias(shape.channels, c1, five(padding), &params.at("conv1"))?,
            conv2: Conv::with_bias(c1, c2, five(0), &params.at("conv2"))?,
            conv3: Conv::with_bias(c2, c3, five(0), &params.at("conv3"))?,
            fc1: Linear::new(c3, f1, &params.at("fc1"))?,
            fc2: Linear::new(f1, shape.classes, &params.at("fc2"))?,
        })
    }
}

impl Network for LeNet {
    fn forward(&self, x: &Tensor, _mode: Mode<'_>) -> Result<Output> {
        // Pooling before the ReLU gives the same numbers with a quarter of the work.
        let x = relu(&max_pool2d(&self.conv1.forward(x)?, 2, 2, 0)?)?; // [n, 6, 14, 14]
        let x = relu(&max_pool2d(&self.conv2.forward(&x)?, 2, 2, 0)?)?; // [n, 16, 5, 5]
        let x = relu(&self.conv3.forward(&x)?.flatten_from(1)?)?; // [n, 120]
        let features = relu(&self.fc1.forward(&x)?)?; // [n, 84]
        Ok(Output { logits: self.fc2.forward(&features)?, features })
    }
}
