//! Classifier-free guidance (Ho & Salimans, arXiv 2207.12598): one doubled call gives both predictions.

use candle_core::{DType, Tensor};
use limbeck_models::dit::Dit;

use super::sampler::{Denoiser, Prediction};
use crate::Result;

/// A DiT that draws images of given classes.
pub struct Guided<'a> {
    net: &'a Dit,
    classes: Vec<u32>,
    scale: f64,
    guided_channels: usize,
}

impl<'a> Guided<'a> {
    /// `scale` 1 is the plain conditional model, 0 the unconditional one. Only the first `guided_channels` channels of ε
    /// are guided; the official DiT guides 3 of its 4.
    pub fn new(net: &'a Dit, classes: Vec<u32>, scale: f64, guided_channels: usize) -> Self {
        Self { net, classes, scale, guided_channels: guided_channels.min(net.config().channels) }
    }

    fn labels(&self, doubled: bool, x: &Tensor) -> Result<Tensor> {
        let mut labels = self.classes.clone();
        if doubled {
            labels.resize(2 * self.classes.len(), self.net.config().classes as u32);
        }
        Ok(Tensor::new(labels, x.device())?)
    }
}

impl Denoiser for Guided<'_> {
    fn predict(&self, x: &Tensor, timestep: u32) -> Result<Prediction> {
        let n = self.classes.len();
        let channels = self.net.config().channels;
        let guided = self.scale != 1.0;
        let input = if guided { Tensor::cat(&[x, x], 0)? } else { x.clone() };
        let timesteps = Tensor::full(timestep as f32, input.dim(0)?, x.device())?;
        let out = self.net.forward(&input, &timesteps, &self.labels(guided, x)?)?; // [n or 2n, 2 · channels, h, w]
        let out = out.to_dtype(DType::F32)?;
        let conditional = out.narrow(0, 0, n)?;
        let (epsilon, variance) = (conditional.narrow(1, 0, channels)?, conditional.narrow(1, channels, channels)?);
        let variance = Some(variance.contiguous()?);
        if !guided {
            return Ok(Prediction { epsilon: epsilon.contiguous()?, variance });
        }
        let k = self.guided_channels;
        let with = epsilon.narrow(1, 0, k)?;
        let without = out.narrow(0, n, n)?.narrow(1, 0, k)?;
        let steered = (&without + ((with - &without)? * self.scale)?)?;
        let epsilon =
            if k == channels { steered } else { Tensor::cat(&[steered, epsilon.narrow(1, k, channels - k)?], 1)? };
        Ok(Prediction { epsilon: epsilon.contiguous()?, variance })
    }
}
