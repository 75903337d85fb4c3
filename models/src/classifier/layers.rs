//! The layers that classifiers are made of, with PyTorch's names and default initialisations.

use candle_core::{Tensor, Var};

use crate::ops::{BatchStats, Norm, Stretch, Value, batch_norm, conv2d, conv2d_norm, linear};
use crate::{Error, Init, Params, Result};

/// PyTorch's momentum of running statistics and addend of the variance.
const MOMENTUM: f64 = 0.1;
const EPS: f64 = 1e-5;

/// Kernel side, stride and zero padding of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Window {
    /// 3×3, size kept at stride 1.
    pub const fn three(stride: usize) -> Self {
        Self { kernel: 3, stride, padding: 1 }
    }

    pub const fn one(stride: usize) -> Self {
        Self { kernel: 1, stride, padding: 0 }
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
        let init = Init::Uniform(1.0 / ((inputs * window.kernel * window.kernel) as f32).sqrt());
        let bias = params.param("bias", outputs, init)?;
        Ok(Self { bias: Some(bias), ..Self::new(inputs, outputs, window, init, params)? })
    }

    /// Without a bias, initialised as the reference residual networks are: normal with variance 2 / fan-out.
    pub fn residual(inputs: usize, outputs: usize, window: Window, params: &Params) -> Result<Self> {
        let init = Init::Normal((2.0 / (outputs * window.kernel * window.kernel) as f32).sqrt());
        Self::new(inputs, outputs, window, init, params)
    }

    fn new(inputs: usize, outputs: usize, window: Window, init: Init, params: &Params) -> Result<Self> {
        let weight = params.param("weight", (outputs, inputs, window.kernel, window.kernel), init)?;
        Ok(Self { weight, bias: None, window })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(conv2d(x, &self.weight, self.bias.as_ref(), self.window.stride, self.window.padding, 1)?)
    }

    /// `conv(x) + residual` as the next step of a stretch; for convolutions without a bias.
    pub fn record(&self, stretch: &mut Stretch, x: Value, residual: Option<Value>) -> Result<Value> {
        if self.bias.is_some() {
            return Err(Error::Config("a convolution with a bias can't be part of a stretch".into()));
        }
        let Window { stride, padding, .. } = self.window;
        Ok(stretch.convolution(x, &self.weight, (stride, padding, 1), residual)?)
    }

    /// `norm(conv(x)) + residual`, through a ReLU if asked: in one pass over memory where nothing is trained.
    pub fn normalised(
        &self,
        x: &Tensor,
        norm: &BatchNorm,
        train: bool,
        residual: Option<&Tensor>,
        relu: bool,
    ) -> Result<Tensor> {
        if train || self.bias.is_some() {
            return norm.forward(&self.forward(x)?, train, residual, relu);
        }
        let (mean, var) = (norm.mean.as_detached_tensor(), norm.var.as_detached_tensor());
        let Window { stride, padding, .. } = self.window;
        Ok(conv2d_norm(x, &self.weight, norm.op(residual, relu), (&mean, &var), stride, padding)?)
    }
}

pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Var,
    var: Var,
}

impl BatchNorm {
    pub fn new(channels: usize, params: &Params) -> Result<Self> {
        Ok(Self {
            weight: params.param("weight", channels, Init::Const(1.0))?,
            bias: params.param("bias", channels, Init::Const(0.0))?,
            mean: params.buffer("running_mean", channels, Init::Const(0.0))?,
            var: params.buffer("running_var", channels, Init::Const(1.0))?,
        })
    }

    fn op<'a>(&'a self, residual: Option<&'a Tensor>, relu: bool) -> Norm<'a> {
        Norm { weight: &self.weight, bias: &self.bias, eps: EPS, residual, relu }
    }

    /// `norm(x) + residual`, through a ReLU if asked.
    pub fn forward(&self, x: &Tensor, train: bool, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        let norm = self.op(residual, relu);
        let (mean, var) = (self.mean.as_detached_tensor(), self.var.as_detached_tensor());
        let (y, stats) = batch_norm(x, norm, (!train).then_some((&mean, &var)))?;
        if let Some(stats) = stats {
            self.follow(&stats, x.elem_count() / x.dim(1)?)?;
        }
        Ok(y)
    }

    /// In training, as the next step of a stretch.
    pub fn record(&self, stretch: &mut Stretch, x: Value, residual: Option<Value>, relu: bool) -> Result<Value> {
        let (y, stats) = stretch.normalisation(x, self.op(None, relu), residual)?;
        self.follow(&stats, stretch.count(x))?;
        Ok(y)
    }

    /// Moves the running statistics towards those of a batch of `count` values a channel.
    fn follow(&self, batch: &BatchStats, count: usize) -> Result<()> {
        // The running variance is the unbiased one.
        let unbiased = count as f64 / (count as f64 - 1.0).max(1.0);
        let (mean, var) = (self.mean.as_detached_tensor(), self.var.as_detached_tensor());
        self.mean.set(&((mean * (1.0 - MOMENTUM))? + (&batch.mean * MOMENTUM)?)?)?;
        self.var.set(&((var * (1.0 - MOMENTUM))? + (&batch.var * (MOMENTUM * unbiased))?)?)?;
        Ok(())
    }
}

pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// `torch.nn.Linear`: weight and bias uniform in ±1/√inputs.
    pub fn new(inputs: usize, outputs: usize, params: &Params) -> Result<Self> {
        let init = Init::Uniform(1.0 / (inputs as f32).sqrt());
        Self::with_bias(inputs, outputs, init, params)
    }

    /// The weight as in [`Self::new`], the bias zero.
    pub fn zero_bias(inputs: usize, outputs: usize, params: &Params) -> Result<Self> {
        Self::with_bias(inputs, outputs, Init::Const(0.0), params)
    }

    fn with_bias(inputs: usize, outputs: usize, bias: Init, params: &Params) -> Result<Self> {
        let init = Init::Uniform(1.0 / (inputs as f32).sqrt());
        Ok(Self {
            weight: params.param("weight", (outputs, inputs), init)?,
            bias: params.param("bias", outputs, bias)?,
        })
    }

    /// `[n, inputs]` → `[n, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, &self.bias)?)
    }
}
