//! What a student loses against its teacher: one file a loss, all of them scalars whose gradient goes to the student alone.
//!
//! Every loss takes weights of the images, f32 `[n]` of mean 1 (`None` for all 1), and every loss that softens logits takes
//! a [`Temperature`], one for all images or one for each. None gives NaN for finite input: not for a student of constant
//! logits, a teacher that is certain, or a batch of equal images.

mod attention;
mod cross_entropy;
mod dist;
mod dkd;
mod hint;
mod kd;
mod logit_mse;
mod standardise;

use candle_core::{D, Result, Tensor, bail};

pub use attention::attention_transfer;
pub use cross_entropy::cross_entropy;
pub use dist::{Dist, dist};
pub use dkd::{Dkd, dkd};
pub use hint::{Regressor, hint};
pub use kd::kd;
pub use logit_mse::logit_mse;
pub use standardise::standardised_kd;

/// What logits are divided by before the softmax, above 0.
#[derive(Clone, Debug)]
pub enum Temperature {
    All(f64),
    /// One an image: f32 `[n]`.
    Each(Tensor),
}

impl Temperature {
    /// `base` standard deviations of each image's logits, `[n, classes]`, as a number: no gradient goes to the logits.
    pub fn of_deviation(base: f64, logits: &Tensor) -> Result<Self> {
        Ok(Self::Each((standardise::deviation(&logits.detach())?.squeeze(D::Minus1)? * base)?))
    }

    /// `logits / τ`, `[n, classes]`.
    fn soften(&self, logits: &Tensor) -> Result<Tensor> {
        match self {
            Self::All(temperature) => logits / *temperature,
            Self::Each(each) => logits.broadcast_div(&each.unsqueeze(1)?),
        }
    }

    /// `τ²` times a loss of each image, `[n]`: it keeps the size of gradients the same whatever τ (Hinton et al., 2.1).
    fn rescale(&self, each: &Tensor) -> Result<Tensor> {
        match self {
            Self::All(temperature) => each * (temperature * temperature),
            Self::Each(temperatures) => each * temperatures.sqr()?,
        }
    }
}

/// The mean over images of `wᵢ · eachᵢ`, a scalar.
fn weighted_mean(each: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    match weights {
        Some(weights) => (each * weights)?.mean_all(),
        None => each.mean_all(),
    }
}

/// Fails unless student and teacher have one shape.
fn same_shape(what: &str, student: &Tensor, teacher: &Tensor) -> Result<()> {
    if student.dims() != teacher.dims() {
        bail!("{what}: the student's shape is {:?}, the teacher's {:?}", student.dims(), teacher.dims());
    }
    Ok(())
}
