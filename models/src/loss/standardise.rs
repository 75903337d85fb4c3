//! Logit standardisation (Sun et al., arXiv 2403.01427, algorithm 1): each image's logits are brought to mean 0 and
//! deviation 1, so that the student copies the order and the ratios of the logits and not their size.

use candle_core::{D, Result, Tensor};

use super::{Temperature, kd};

/// Added to the variance. Logits of one value have none to divide by.
const EPSILON: f64 = 1e-7;

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
    (centred(logits)?.sqr()?.mean_keepdim(D::Minus1)? + EPSILON)?.sqrt()
}

fn centred(logits: &Tensor) -> Result<Tensor> {
    logits.broadcast_sub(&logits.mean_keepdim(D::Minus1)?)
}
