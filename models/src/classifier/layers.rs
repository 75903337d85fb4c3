//! Normalisations and fully connected layers, with PyTorch's names and default initialisations.

use candle_core::{Tensor, Var};

use crate::ops::{BatchStats, Images, Inference, Norm, Stretch, Value, batch_norm, layer_norm, linear};
use crate::{Init, Params, Result};

/// PyTorch's momentum of running statistics and addend of the variance.
const MOMENTUM: f64 = 0.1;
const EPS: f64 = 1e-5;

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

    pub fn op<'a>(&'a self, residual: Option<&'a Tensor>, relu: bool) -> Norm<'a> {
        Norm { weight: &self.weight, bias: &self.bias, eps: EPS, residual, relu }
    }

    /// `norm(x) + residual`, through a ReLU if asked.
    pub fn forward(&self, x: &Tensor, train: bool, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        let norm = self.op(residual, relu);
        let (mean, var) = self.running();
        let (y, stats) = batch_norm(x, norm, (!train).then_some((&mean, &var)))?;
        if let Some(stats) = stats {
            self.follow(&stats, x.elem_count() / x.dim(1)?)?;
        }
        Ok(y)
    }

    /// The running mean and variance.
    pub fn running(&self) -> (Tensor, Tensor) {
        (self.mean.as_detached_tensor(), self.var.as_detached_tensor())
    }

    /// By the running statistics, through a ReLU if asked, as the next step of a pass.
    pub fn infer(&self, pass: &Inference, x: &Images, relu: bool) -> Result<Images> {
        let (mean, var) = self.running();
        Ok(pass.normalisation(x, (self.op(None, relu), (&mean, &var)))?)
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
        let (mean, var) = self.running();
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
        Self::initialised(inputs, outputs, (init, init), params)
    }

    /// The weight as in [`Self::new`], the bias zero.
    pub fn zero_bias(inputs: usize, outputs: usize, params: &Params) -> Result<Self> {
        let init = Init::Uniform(1.0 / (inputs as f32).sqrt());
        Self::initialised(inputs, outputs, (init, Init::Const(0.0)), params)
    }

    /// Weight and bias drawn as told.
    pub fn initialised(inputs: usize, outputs: usize, (weight, bias): (Init, Init), params: &Params) -> Result<Self> {
        Ok(Self {
            weight: params.param("weight", (outputs, inputs), weight)?,
            bias: params.param("bias", outputs, bias)?,
        })
    }

    /// `[.., inputs]` → `[.., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, &self.bias)?)
    }
}

/// Layer normalisation over the last dimension, ε = 1e-6 as in the vision transformers.
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub fn new(width: usize, params: &Params) -> Result<Self> {
        Ok(Self {
            weight: params.param("weight", width, Init::Const(1.0))?,
            bias: params.param("bias", width, Init::Const(0.0))?,
        })
    }

    /// `[.., width]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(x, &self.weight, &self.bias, 1e-6)?)
    }

    /// Over the channels of `[n, width, h, w]`.
    pub fn forward_images(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.forward(&x.permute((0, 2, 3, 1))?)?.permute((0, 3, 1, 2))?)
    }
}
