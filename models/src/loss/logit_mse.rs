//! The squared difference of logits (Ba and Caruana, arXiv 1312.6184; Kim et al., arXiv 2105.08919).

use candle_core::{D, Result, Tensor};

use super::{same_shape, weighted_mean};

/// `mean of wᵢ · mean over classes of (studentᵢ − teacherᵢ)²`, of logits `[n, classes]`. There is nothing to soften.
pub fn logit_mse(student: &Tensor, teacher: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    same_shape("logit-mse", student, teacher)?;
    weighted_mean(&(student - teacher.detach())?.sqr()?.mean(D::Minus1)?, weights)
}
