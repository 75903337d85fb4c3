//! Samplers: pure loops over a denoiser, from noise to images.

use candle_core::Tensor;
use limbeck_models::finite::first_not_finite;

use super::schedule::{Schedule, Step};
use crate::{Error, Result};

/// What a denoiser says about a batch of noisy images.
pub struct Prediction {
    /// The noise, `[n, c, h, w]`.
    pub epsilon: Tensor,
    /// Where the log variance lies between its bounds, -1 to 1, `[n, c, h, w]`; `None` where it is not learned.
    pub variance: Option<Tensor>,
}

/// Anything that predicts the noise in `x [n, c, h, w]` at a step of its training schedule.
pub trait Denoiser {
    fn predict(&self, x: &Tensor, timestep: u32) -> Result<Prediction>;
}

/// Gives the next standard normal noise for the whole batch.
pub type Draw<'a> = &'a mut dyn FnMut() -> Result<Tensor>;

/// The whole of a sampling run but the denoiser and the noise.
pub struct Sampler<'a> {
    pub schedule: &'a Schedule,
    /// Keep the guess of x₀ in [-1, 1]: right for pixels, wrong for latents.
    pub clip: bool,
    /// Called after each step.
    pub on_step: &'a dyn Fn(),
}

impl Sampler<'_> {
    /// DDPM's ancestral sampling with the learned variance where there is one, else β̃ (arXiv 2006.11239, algorithm 2).
    pub fn ddpm(&self, denoiser: &dyn Denoiser, draw: Draw<'_>) -> Result<Tensor> {
        let mut x = draw()?;
        for (i, step) in self.schedule.steps.iter().enumerate().rev() {
            let prediction = self.predict(denoiser, &x, i)?;
            let guess = self.guess(&x, &prediction.epsilon, step)?;
            let mean = ((guess * step.x0_weight)? + (&x * step.xt_weight)?)?;
            x = if i == 0 { mean } else { (mean + (draw()? * deviation(&prediction, step)?)?)? };
            (self.on_step)();
        }
        Ok(x)
    }

    /// DDIM (arXiv 2010.02502, equation 12); `eta` 0 is deterministic after the first noise, 1 has DDPM's variance.
    pub fn ddim(&self, denoiser: &dyn Denoiser, draw: Draw<'_>, eta: f64) -> Result<Tensor> {
        let mut x = draw()?;
        for (i, step) in self.schedule.steps.iter().enumerate().rev() {
            let prediction = self.predict(denoiser, &x, i)?;
            let guess = self.guess(&x, &prediction.epsilon, step)?;
            // ε that belongs to the clipped guess, so that the two stay consistent.
            let epsilon = ((&x - (&guess * step.alpha_bar.sqrt())?)? / (1.0 - step.alpha_bar).sqrt())?;
            let previous = step.alpha_bar_previous;
            let posterior = (1.0 - previous) / (1.0 - step.alpha_bar) * (1.0 - step.alpha_bar / previous);
            let sigma = eta * posterior.sqrt();
            let towards = (epsilon * (1.0 - previous - sigma * sigma).max(0.0).sqrt())?;
            x = ((guess * previous.sqrt())? + towards)?;
            if i > 0 && eta > 0.0 {
                x = (x + (draw()? * sigma)?)?;
            }
            (self.on_step)();
        }
        Ok(x)
    }

    /// What the denoiser says at step `i` of the schedule. Fails on noise that is not finite: clamped, it would be an image.
    fn predict(&self, denoiser: &dyn Denoiser, x: &Tensor, i: usize) -> Result<Prediction> {
        let (steps, timestep) = (self.schedule.steps.len(), self.schedule.steps[i].timestep);
        let prediction = denoiser.predict(x, timestep)?;
        for (what, tensor) in [("noise", Some(&prediction.epsilon)), ("variance", prediction.variance.as_ref())] {
            if let Some((_, value)) = tensor.map(first_not_finite).transpose()?.flatten() {
                return Err(Error::failed(format!(
                    "step {} of {steps}, timestep {timestep}: the {what} that it predicts holds {value}: its numbers overflow, \
                     or its training diverged: name another generator",
                    steps - i
                )));
            }
        }
        Ok(prediction)
    }

    /// x₀ as the denoiser sees it.
    fn guess(&self, x: &Tensor, epsilon: &Tensor, step: &Step) -> Result<Tensor> {
        let guess = ((x - (epsilon * (1.0 - step.alpha_bar).sqrt())?)? / step.alpha_bar.sqrt())?;
        Ok(if self.clip { guess.clamp(-1.0, 1.0)? } else { guess })
    }
}

/// σ of an ancestral step, by element.
fn deviation(prediction: &Prediction, step: &Step) -> Result<Tensor> {
    let log_variance = match &prediction.variance {
        Some(v) => ((((v + 1.0)? * 0.5)? * (step.log_beta - step.log_posterior))? + step.log_posterior)?,
        None => prediction.epsilon.zeros_like()?.affine(1.0, step.log_posterior)?,
    };
    Ok((log_variance * 0.5)?.exp()?)
}
