//! Convolutions with PyTorch's names and default initialisations, and what follows them at once.

use candle_core::Tensor;

use super::layers::BatchNorm;
use crate::ops::{Activation, Images, Inference, Stretch, Value, conv2d, conv2d_norm};
use crate::{Error, Init, Params, Result};

/// Kernel side, stride, zero padding and groups of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub groups: usize,
}

impl Window {
    /// An odd kernel, padded so that stride 1 keeps the size.
    pub const fn same(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: kernel / 2, groups: 1 }
    }

    /// Without padding.
    pub const fn valid(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: 0, groups: 1 }
    }

    /// 3×3, size kept at stride 1.
    pub const fn three(stride: usize) -> Self {
        Self::same(3, stride)
    }

    pub const fn one(stride: usize) -> Self {
        Self::same(1, stride)
    }

    /// One kernel for each of `channels`: the same number must go in and out.
    pub const fn depthwise(self, channels: usize) -> Self {
        Self { groups: channels, ..self }
    }

    /// Weights behind each output.
    fn fan_in(self, inputs: usize) -> usize {
        inputs / self.groups * self.kernel * self.kernel
    }
}

pub(super) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    window: Window,
}

impl Conv {
    /// With a bias and `torch.nn.Conv2d`'s own initialisation: uniform in ±1/√fan-in.
    pub fn with_bias(inputs: usize, outputs: usize, window: Window, params: &Params) -> Result<Self> {
        let init = Init::Uniform(1.0 / (window.fan_in(inputs) as f32).sqrt());
        Self::initialised(inputs, outputs, window, (init, Some(init)), params)
    }

    /// Without a bias, initialised by `torch.nn.Conv2d` itself.
    pub fn plain(inputs: usize, outputs: usize, window: Window, params: &Params) -> Result<Self> {
        let init = Init::Uniform(1.0 / (window.fan_in(inputs) as f32).sqrt());
        Self::initialised(inputs, outputs, window, (init, None), params)
    }

    /// Without a bias, initialised as the reference residual networks are: normal with variance 2 / fan-out.
    pub fn residual(inputs: usize, outputs: usize, window: Window, params: &Params) -> Result<Self> {
        Self::initialised(inputs, outputs, window, (he(outputs, window), None), params)
    }

    /// The same with a bias that starts at zero.
    pub fn he_with_bias(inputs: usize, outputs: usize, window: Window, params: &Params) -> Result<Self> {
        Self::initialised(inputs, outputs, window, (he(outputs, window), Some(Init::Const(0.0))), params)
    }

    /// Weight and, where one is given, bias drawn as told.
    pub fn initialised(
        inputs: usize,
        outputs: usize,
        window: Window,
        (weight, bias): (Init, Option<Init>),
        params: &Params,
    ) -> Result<Self> {
        let shape = (outputs, inputs / window.groups, window.kernel, window.kernel);
        let bias = bias.map(|init| params.param("bias", outputs, init)).transpose()?;
        Ok(Self { weight: params.param("weight", shape, weight)?, bias, window })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Window { stride, padding, groups, .. } = self.window;
        Ok(conv2d(x, &self.weight, self.bias.as_ref(), stride, padding, groups)?)
    }

    /// `conv(x) + residual` as the next step of a stretch; for convolutions without a bias.
    pub fn record(&self, stretch: &mut Stretch, x: Value, residual: Option<Value>) -> Result<Value> {
        if self.bias.is_some() {
            return Err(Error::Config("a convolution with a bias can't be part of a stretch".into()));
        }
        let Window { stride, padding, groups, .. } = self.window;
        Ok(stretch.convolution(x, &self.weight, (stride, padding, groups), residual)?)
    }

    /// Whether a gradient of the weights is asked for.
    pub fn is_tracked(&self) -> bool {
        self.weight.track_op()
    }

    /// `activation(norm(conv(x)) + residual)` as the next step of a pass.
    pub fn infer(
        &self,
        pass: &Inference,
        x: &Images,
        norm: Option<&BatchNorm>,
        residual: Option<&Images>,
        activation: Activation,
    ) -> Result<Images> {
        let Window { stride, padding, groups, .. } = self.window;
        let weights = (&self.weight, self.bias.as_ref());
        let running = norm.map(BatchNorm::running);
        let norm = norm.zip(running.as_ref()).map(|(norm, (mean, var))| (norm.op(None, false), (mean, var)));
        Ok(pass.convolution(x, weights, (stride, padding, groups), norm, residual, activation)?)
    }

    /// `activation(norm(conv(x)) + residual)`: in one pass over memory where nothing is trained.
    pub fn normalised(
        &self,
        x: &Tensor,
        norm: &BatchNorm,
        train: bool,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        if train || self.bias.as_ref().is_some_and(Tensor::track_op) {
            // A ReLU is part of the normalisation.
            let relu = activation == Activation::Relu;
            let y = norm.forward(&self.forward(x)?, train, residual, relu)?;
            return Ok(if relu { y } else { activation.forward(&y)? });
        }
        let (mean, var) = norm.running();
        // A bias before a normalisation moves the mean.
        let mean = self.bias.as_ref().map_or(Ok(mean.clone()), |bias| &mean - bias)?;
        let Window { stride, padding, .. } = self.window;
        Ok(conv2d_norm(x, &self.weight, norm.op(residual, false), (&mean, &var), stride, padding, activation)?)
    }
}

/// `torch.nn.init.kaiming_normal_(mode="fan_out")`, which counts the fan-out as if there were one group.
fn he(outputs: usize, window: Window) -> Init {
    Init::Normal((2.0 / (outputs * window.kernel * window.kernel) as f32).sqrt())
}

/// Convolution without bias, batch normalisation, activation.
pub(super) struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
    activation: Activation,
}

impl ConvNorm {
    pub fn new(conv: Conv, norm: BatchNorm, activation: Activation) -> Self {
        Self { conv, norm, activation }
    }

    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.conv.normalised(x, &self.norm, train, None, self.activation)
    }

    pub fn is_tracked(&self) -> bool {
        self.conv.is_tracked()
    }

    /// The same with `residual`, if there is one, as the next step of a pass.
    pub fn infer(&self, pass: &Inference, x: &Images, residual: Option<&Images>) -> Result<Images> {
        self.conv.infer(pass, x, Some(&self.norm), residual, self.activation)
    }

    /// With `residual` added after the normalisation; for those without an activation.
    pub fn forward_onto(&self, x: &Tensor, residual: &Tensor, train: bool) -> Result<Tensor> {
        self.conv.normalised(x, &self.norm, train, Some(residual), self.activation)
    }
}
