//! Classifier-free guidance (Ho & Salimans, arXiv 2207.12598): the answers with and without a class, extrapolated.

use candle_core::{DType, Tensor};
use limbeck_models::dit::Dit;
use limbeck_models::parallel;

use super::sampler::{Denoiser, Prediction};
use crate::{Error, Result, backend};

/// Anything that predicts the noise in images of given classes.
pub trait Conditional: Send + Sync {
    /// Of the images.
    fn channels(&self) -> usize;

    /// The noise in `x [n, c, h, w]`, f32, at a step of its training schedule; a class each, or `None` for no class.
    fn predict(&self, x: &Tensor, timestep: u32, classes: &[Option<u32>]) -> Result<Prediction>;
}

impl Conditional for Dit {
    fn channels(&self) -> usize {
        self.config().channels
    }

    fn predict(&self, x: &Tensor, timestep: u32, classes: &[Option<u32>]) -> Result<Prediction> {
        let timesteps = Tensor::full(timestep as f32, classes.len(), x.device())?;
        // One more embedding than there are classes stands for none.
        let none = self.config().classes as u32;
        let labels: Vec<u32> = classes.iter().map(|class| class.unwrap_or(none)).collect();
        let both = self.forward(x, &timesteps, &Tensor::new(labels, x.device())?)?; // [n, 2 · channels, h, w]
        let part = |start| both.narrow(1, start, self.config().channels)?.contiguous()?.to_dtype(DType::F32);
        Ok(Prediction { epsilon: part(0)?, variance: Some(part(self.config().channels)?) })
    }
}

impl Conditional for Box<dyn backend::Denoiser> {
    fn channels(&self) -> usize {
        self.info().channels
    }

    fn predict(&self, x: &Tensor, timestep: u32, classes: &[Option<u32>]) -> Result<Prediction> {
        let timesteps = Tensor::full(timestep as f32, classes.len(), x.device())?;
        let labels: Vec<i64> = classes.iter().map(|class| class.map_or(-1, i64::from)).collect();
        let backend::Denoised { epsilon, variance } = self.denoise(x, &timesteps, &Tensor::new(labels, x.device())?)?;
        Ok(Prediction { epsilon, variance })
    }
}

/// A denoiser that draws images of given classes.
pub struct Guided<'a> {
    net: &'a dyn Conditional,
    classes: Vec<Option<u32>>,
    /// One an image.
    scales: Vec<f64>,
    guided_channels: usize,
}

impl<'a> Guided<'a> {
    /// `scale` 1 is the plain conditional model, 0 the unconditional one. Only the first `guided_channels` channels of ε
    /// are guided; the official DiT guides 3 of its 4.
    pub fn new(net: &'a dyn Conditional, classes: Vec<u32>, scale: f64, guided_channels: usize) -> Self {
        let scales = vec![scale; classes.len()];
        Self::with_scales(net, classes, scales, guided_channels)
    }

    /// As [`Self::new`], with a scale for each image.
    pub fn with_scales(net: &'a dyn Conditional, classes: Vec<u32>, scales: Vec<f64>, guided_channels: usize) -> Self {
        let classes = classes.into_iter().map(Some).collect();
        Self { net, classes, scales, guided_channels: guided_channels.min(net.channels()) }
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

    /// What is predicted for the classes, and the noise without a class. On the CPU one a thread, elsewhere one call of a
    /// doubled batch.
    fn both(&self, x: &Tensor, timestep: u32) -> Result<(Prediction, Tensor)> {
        let (n, none) = (self.classes.len(), vec![None; self.classes.len()]);
        if !x.device().is_cpu() {
            let classes = [self.classes.as_slice(), &none].concat();
            let Prediction { epsilon, variance } = self.net.predict(&Tensor::cat(&[x, x], 0)?, timestep, &classes)?;
            let variance = variance.map(|variance| variance.narrow(0, 0, n)).transpose()?;
            return Ok((Prediction { epsilon: epsilon.narrow(0, 0, n)?, variance }, epsilon.narrow(0, n, n)?));
        }
        let classes = [self.classes.as_slice(), &none];
        let mut answers = parallel::map(&classes, |classes| self.net.predict(x, timestep, classes)).into_iter();
        match (answers.next(), answers.next()) {
            (Some(with), Some(without)) => Ok((with?, without?.epsilon)),
            _ => Err(Error::failed("guidance needs two answers of the network")),
        }
    }
}

impl Denoiser for Guided<'_> {
    fn predict(&self, x: &Tensor, timestep: u32) -> Result<Prediction> {
        if self.scales.iter().all(|&scale| scale == 1.0) {
            return self.net.predict(x, timestep, &self.classes);
        }
        let (Prediction { epsilon, variance }, unconditional) = self.both(x, timestep)?;
        let (k, channels) = (self.guided_channels, self.net.channels());
        let with = epsilon.narrow(1, 0, k)?;
        let without = unconditional.narrow(1, 0, k)?;
        let steered = (&without + self.scaled(&(with - &without)?)?)?;
        let epsilon =
            if k == channels { steered } else { Tensor::cat(&[steered, epsilon.narrow(1, k, channels - k)?], 1)? };
        Ok(Prediction { epsilon: epsilon.contiguous()?, variance })
    }
}
