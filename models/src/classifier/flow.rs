//! Layers in a row: recorded as one stretch where a student is trained on the CPU, in one pass where nothing is trained, one by
//! one elsewhere.

use candle_core::Tensor;

use super::conv::Conv;
use super::layers::BatchNorm;
use crate::Result;
use crate::ops::{Activation, Images, Inference, Stretch, Value, max_pool2d};

/// What images pass through.
pub(super) trait Layers {
    /// Whether gradients of its parameters are asked for.
    fn is_tracked(&self) -> bool;

    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images>;
}

impl<L: Layers> Layers for Vec<L> {
    fn is_tracked(&self) -> bool {
        self.iter().any(L::is_tracked)
    }

    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        self.iter().try_fold(x, |x, layers| layers.through(flow, x))
    }
}

impl<A: Layers, B: Layers> Layers for (&A, &B) {
    fn is_tracked(&self) -> bool {
        self.0.is_tracked() || self.1.is_tracked()
    }

    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        let x = self.0.through(flow, x)?;
        self.1.through(flow, x)
    }
}

/// How the layers are applied.
pub(super) trait Flow {
    type Images: Clone;

    /// `conv(x) + residual`; the convolution has no bias.
    fn conv(&mut self, conv: &Conv, x: &Self::Images, residual: Option<&Self::Images>) -> Result<Self::Images>;

    /// `norm(x)`, through a ReLU if asked.
    fn norm(&mut self, norm: &BatchNorm, x: &Self::Images, relu: bool) -> Result<Self::Images>;

    /// `norm(conv(x)) + residual`, through a ReLU if asked.
    fn conv_norm(
        &mut self,
        layers: (&Conv, &BatchNorm),
        x: &Self::Images,
        residual: Option<&Self::Images>,
        relu: bool,
    ) -> Result<Self::Images>;

    /// The largest value of each window of `kernel` × `kernel`, `stride` apart.
    fn max_pool(&mut self, x: &Self::Images, kernel: usize, stride: usize, padding: usize) -> Result<Self::Images>;
}

/// `layers` of `x`. With `train`, normalisations use the statistics of this batch and update their running averages.
pub(super) fn run(layers: &impl Layers, x: &Tensor, train: bool) -> Result<Tensor> {
    if train && Stretch::suits(x) {
        let (mut stretch, x) = Stretch::new(x)?;
        let y = layers.through(&mut stretch, x)?;
        return Ok(stretch.finish(y)?);
    }
    if !train && Inference::suits(x) && !layers.is_tracked() {
        let mut pass = Inference::default();
        let x = pass.begin(x)?;
        let y = layers.through(&mut pass, x)?;
        return Ok(pass.finish(y)?);
    }
    layers.through(&mut OneByOne { train }, x.clone())
}

struct OneByOne {
    train: bool,
}

impl Flow for OneByOne {
    type Images = Tensor;

    fn conv(&mut self, conv: &Conv, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let y = conv.forward(x)?;
        Ok(match residual {
            Some(residual) => (y + residual)?,
            None => y,
        })
    }

    fn norm(&mut self, norm: &BatchNorm, x: &Tensor, relu: bool) -> Result<Tensor> {
        norm.forward(x, self.train, None, relu)
    }

    fn conv_norm(
        &mut self,
        (conv, norm): (&Conv, &BatchNorm),
        x: &Tensor,
        residual: Option<&Tensor>,
        relu: bool,
    ) -> Result<Tensor> {
        let activation = if relu { Activation::Relu } else { Activation::None };
        conv.normalised(x, norm, self.train, residual, activation)
    }

    fn max_pool(&mut self, x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
        Ok(max_pool2d(x, kernel, stride, padding)?)
    }
}

impl Flow for Stretch {
    type Images = Value;

    fn conv(&mut self, conv: &Conv, x: &Value, residual: Option<&Value>) -> Result<Value> {
        conv.record(self, *x, residual.copied())
    }

    fn norm(&mut self, norm: &BatchNorm, x: &Value, relu: bool) -> Result<Value> {
        norm.record(self, *x, None, relu)
    }

    fn conv_norm(
        &mut self,
        (conv, norm): (&Conv, &BatchNorm),
        x: &Value,
        residual: Option<&Value>,
        relu: bool,
    ) -> Result<Value> {
        let y = conv.record(self, *x, None)?;
        norm.record(self, y, residual.copied(), relu)
    }

    fn max_pool(&mut self, x: &Value, kernel: usize, stride: usize, padding: usize) -> Result<Value> {
        Ok(Stretch::max_pool(self, *x, kernel, stride, padding)?)
    }
}

impl Flow for Inference {
    type Images = Images;

    fn conv(&mut self, conv: &Conv, x: &Images, residual: Option<&Images>) -> Result<Images> {
        conv.infer(self, x, None, residual, Activation::None)
    }

    fn norm(&mut self, norm: &BatchNorm, x: &Images, relu: bool) -> Result<Images> {
        norm.infer(self, x, relu)
    }

    fn conv_norm(
        &mut self,
        (conv, norm): (&Conv, &BatchNorm),
        x: &Images,
        residual: Option<&Images>,
        relu: bool,
    ) -> Result<Images> {
        let activation = if relu { Activation::Relu } else { Activation::None };
        conv.infer(self, x, Some(norm), residual, activation)
    }

    fn max_pool(&mut self, x: &Images, kernel: usize, stride: usize, padding: usize) -> Result<Images> {
        Ok(Inference::max_pool(self, x, kernel, stride, padding)?)
    }
}
