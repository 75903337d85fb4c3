//! Logit standardisation (Sun et al., arXiv 2403.01427): each image's logits are brought to mean 0 and deviation 1, so that the
//! student copies the order and the ratios of the logits and not their size. The deviation is the sample's, by `classes − 1`,
//! as it is in the authors' code.

use candle_core::{D, Result, Tensor};

use super::{Temperature, kd};

/// Added to the variance. Logits of one value have none to divide by; the authors add 1e-7 to the deviation, which is the same
/// there and in f32 nearly everywhere, but has no gradient there.
const EPSILON: f64 = 1e-14;

/// [`kd`] of standardised logits, `[n, classes]`. `temperature` is the paper's base temperature, which is 2 there.
pub fn standardised_kd(
    student: &Tensor,
    teacher: &Tensor,
    temperature: &Temperature,
    weights: Option<&Tensor>,
) -> Result<Tensor> {
    kd(&standardised(student)?, &standardised(teacher)?, temperature, weights)
}

fn standardised(logits: &Tensor) -> Result<Tensor> {
    centred(logits)?.broadcast_div(&deviation(logits)?)
}

/// Above 0, `[n, 1]`.
pub(super) fn deviation(logits: &Tensor) -> Result<Tensor> {
    let degrees = logits.dim(D::Minus1)?.saturating_sub(1).max(1) as f64;
    ((centred(logits)?.sqr()?.sum_keepdim(D::Minus1)? / degrees)? + EPSILON)?.sqrt()
}

fn centred(logits: &Tensor) -> Result<Tensor> {
    logits.broadcast_sub(&logits.mean_keepdim(D::Minus1)?)
}
