//! Classifier-free guidance (Ho & Salimans, arXiv 2207.12598): the answers with and without a class, extrapolated.

use candle_core::{DType, Tensor};
use limbeck_models::dit::Dit;
use limbeck_models::parallel;

use super::sampler::{Denoiser, Prediction};
use crate::{Error, Result};

/// A DiT that draws images of given classes.
pub struct Guided<'a> {
    net: &'a Dit,
    classes: Vec<u32>,
    /// One an image.
    scales: Vec<f64>,
    guided_channels: usize,
}

impl<'a> Guided<'a> {
    /// `scale` 1 is the plain conditional model, 0 the unconditional one. Only the first `guided_channels` channels of ε
    /// are guided; the official DiT guides 3 of its 4.
    pub fn new(net: &'a Dit, classes: Vec<u32>, scale: f64, guided_channels: usize) -> Self {
        let scales = vec![scale; classes.len()];
        Self::with_scales(net, classes, scales, guided_channels)
    }

    /// As [`Self::new`], with a scale for each image.
    pub fn with_scales(net: &'a Dit, classes: Vec<u32>, scales: Vec<f64>, guided_channels: usize) -> Self {
        Self { net, classes, scales, guided_channels: guided_channels.min(net.config().channels) }
    }

    /// `images` times the scale of each, `[n, c, h, w]`.
    fn scaled(&self, images: &Tensor) -> Result<Tensor> {
        match self.scales.split_first() {
            Some((first, rest)) if rest.iter().any(|scale| scale != first) => {
                let scales: Vec<f32> = self.scales.iter().map(|&scale| scale as f32).collect();
                let scales = Tensor::from_vec(scales, (self.scales.len(), 1, 1, 1), images.device())?;
                Ok(images.broadcast_mul(&scales)?)
            }
            first => Ok((images * first.map_or(1.0, |(scale, _)| *scale))?),
        }
    }

    /// The network's answer for the classes, and without a class, each `[n, 2 · channels, h, w]`. On the CPU one a thread,
    /// elsewhere one call of a doubled batch.
    fn both(&self, x: &Tensor, timestep: u32) -> Result<[Tensor; 2]> {
        let none = vec![self.net.config().classes as u32; self.classes.len()];
        if !x.device().is_cpu() {
            let labels = [self.classes.as_slice(), &none].concat();
            let out = self.forward(&Tensor::cat(&[x, x], 0)?, timestep, labels)?;
            let n = self.classes.len();
            return Ok([out.narrow(0, 0, n)?, out.narrow(0, n, n)?]);
        }
        let labels = [self.classes.clone(), none];
        let mut answers = parallel::map(&labels, |labels| self.forward(x, timestep, labels.clone())).into_iter();
        match (answers.next(), answers.next()) {
            (Some(with), Some(without)) => Ok([with?, without?]),
            _ => Err(Error::failed("guidance needs two answers of the network")),
        }
    }

    fn forward(&self, x: &Tensor, timestep: u32, labels: Vec<u32>) -> Result<Tensor> {
        let timesteps = Tensor::full(timestep as f32, labels.len(), x.device())?;
        let labels = Tensor::new(labels, x.device())?;
        Ok(self.net.forward(x, &timesteps, &labels)?.to_dtype(DType::F32)?)
    }
}

impl Denoiser for Guided<'_> {
    fn predict(&self, x: &Tensor, timestep: u32) -> Result<Prediction> {
        let channels = self.net.config().channels;
        let (conditional, unconditional) = if self.scales.iter().any(|&scale| scale != 1.0) {
            let [with, without] = self.both(x, timestep)?;
            (with, Some(without))
        } else {
            (self.forward(x, timestep, self.classes.clone())?, None)
        };
        let (epsilon, variance) = (conditional.narrow(1, 0, channels)?, conditional.narrow(1, channels, channels)?);
        let variance = Some(variance.contiguous()?);
        let Some(unconditional) = unconditional else {
            return Ok(Prediction { epsilon: epsilon.contiguous()?, variance });
        };
        let k = self.guided_channels;
        let with = epsilon.narrow(1, 0, k)?;
        let without = unconditional.narrow(1, 0, k)?;
        let steered = (&without + self.scaled(&(with - &without)?)?)?;
        let epsilon =
            if k == channels { steered } else { Tensor::cat(&[steered, epsilon.narrow(1, k, channels - k)?], 1)? };
        Ok(Prediction { epsilon: epsilon.contiguous()?, variance })
    }
}
