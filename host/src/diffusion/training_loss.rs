//! The hybrid loss of improved DDPM (Nichol & Dhariwal, arXiv 2102.09672, equation 16): ε by mean squared error, the
//! variance by the variational bound, whose gradient does not reach ε.

use candle_core::{Device, Tensor};
use limbeck_models::dit::Dit;

use super::schedule::Schedule;
use crate::Result;

/// One batch to learn from.
pub struct Batch<'a> {
    /// `[n, c, h, w]`, in [-1, 1].
    pub images: &'a Tensor,
    /// Standard normal noise of the same shape.
    pub noise: &'a Tensor,
    /// Which step of the schedule each image is noised to.
    pub steps: &'a [usize],
    /// `[n]`, u32; the number of classes stands for "no class".
    pub classes: &'a Tensor,
}

/// Both parts of the loss, scalars.
pub struct Loss {
    /// Mean squared error of ε.
    pub simple: Tensor,
    /// The variational bound in bits a dimension, times the number of steps over 1000.
    pub bound: Tensor,
}

/// Per-image constants of the chosen steps, each `[n, 1, 1, 1]`.
struct Constants<'a> {
    schedule: &'a Schedule,
    steps: &'a [usize],
    device: &'a Device,
}

impl Constants<'_> {
    fn of(&self, f: impl Fn(&super::schedule::Step) -> f64) -> Result<Tensor> {
        let values: Vec<f32> = self.steps.iter().map(|&i| f(&self.schedule.steps[i]) as f32).collect();
        Ok(Tensor::from_vec(values, (self.steps.len(), 1, 1, 1), self.device)?)
    }
}

/// The hybrid loss of a batch; `schedule` is the whole training chain.
pub fn hybrid_loss(net: &Dit, schedule: &Schedule, batch: &Batch<'_>) -> Result<Loss> {
    let constants = Constants { schedule, steps: batch.steps, device: batch.images.device() };
    let signal = constants.of(|s| s.alpha_bar.sqrt())?;
    let spread = constants.of(|s| (1.0 - s.alpha_bar).sqrt())?;
    let noisy = (batch.images.broadcast_mul(&signal)? + batch.noise.broadcast_mul(&spread)?)?;
    let timesteps = constants.of(|s| f64::from(s.timestep))?.flatten_all()?;
    let predicted = net.forward(&noisy, &timesteps, batch.classes)?.chunk(2, 1)?; // ε, variance coefficient
    let simple = (&predicted[0] - batch.noise)?.sqr()?.mean_all()?;

    let epsilon = predicted[0].detach();
    let guess = (&noisy - epsilon.broadcast_mul(&spread)?)?.broadcast_div(&signal)?;
    let (x0_weight, xt_weight) = (constants.of(|s| s.x0_weight)?, constants.of(|s| s.xt_weight)?);
    let mean_error = (&guess - batch.images)?.broadcast_mul(&x0_weight)?;
    // The variance lies between its bounds on a log scale (equation 15).
    let (low, high) = (constants.of(|s| s.log_posterior)?, constants.of(|s| s.log_beta)?);
    let share = ((&predicted[1] + 1.0)? * 0.5)?;
    let log_variance = share.broadcast_mul(&(&high - &low)?)?.broadcast_add(&low)?;

    let divergence = gaussian_kl(&mean_error, &low, &log_variance)?;
    let bits = if batch.steps.contains(&0) {
        let mean = (guess.broadcast_mul(&x0_weight)? + noisy.broadcast_mul(&xt_weight)?)?;
        let likelihood = discretised_nll(batch.images, &mean, &log_variance)?;
        let first = constants.of(|s| if s.timestep == 0 { 1.0 } else { 0.0 })?;
        let rest = (1.0 - &first)?;
        (likelihood.broadcast_mul(&first)? + divergence.broadcast_mul(&rest)?)?
    } else {
        divergence
    };
    let scale = schedule.steps.len() as f64 / 1000.0 / std::f64::consts::LN_2;
    Ok(Loss { simple, bound: (bits.mean_all()? * scale)? })
}

/// KL between the true posterior (log variance `low`) and the predicted one, in nats, by element.
fn gaussian_kl(mean_error: &Tensor, low: &Tensor, log_variance: &Tensor) -> Result<Tensor> {
    let ratio = log_variance.broadcast_sub(low)?; // log σ² − log β̃
    let misfit = (mean_error.sqr()? * log_variance.neg()?.exp()?)?;
    Ok((((&ratio + ratio.neg()?.exp()?)? + (misfit - 1.0)?)? * 0.5)?)
}

/// −log of the probability of 8-bit pixels in [-1, 1] under a Gaussian, each pixel a bin of 2/255, in nats, by element.
fn discretised_nll(images: &Tensor, mean: &Tensor, log_variance: &Tensor) -> Result<Tensor> {
    const HALF_BIN: f64 = 1.0 / 255.0;
    let centred = (images - mean)?;
    let inverse = (log_variance * -0.5)?.exp()?;
    let upper = normal_cdf(&(&inverse * (&centred + HALF_BIN)?)?)?;
    let lower = normal_cdf(&(&inverse * (&centred - HALF_BIN)?)?)?;
    // The outermost bins reach to infinity.
    let upper = images.gt(0.999)?.where_cond(&upper.ones_like()?, &upper)?;
    let lower = images.lt(-0.999)?.where_cond(&lower.zeros_like()?, &lower)?;
    Ok((upper - lower)?.maximum(1e-12)?.log()?.neg()?)
}

/// The standard normal distribution function, by the tanh approximation of the reference code.
fn normal_cdf(x: &Tensor) -> Result<Tensor> {
    let inner = (x + (x.powf(3.0)? * 0.044_715)?)?;
    Ok((((inner * (2.0 / std::f64::consts::PI).sqrt())?.tanh()? + 1.0)? * 0.5)?)
}
