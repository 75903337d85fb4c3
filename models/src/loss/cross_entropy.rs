//! The cross-entropy to known classes.

use candle_core::{D, Result, Tensor};

use super::{same_shape, weighted_mean};

/// `mean of wᵢ · −Σ targetᵢ log softmax(logitsᵢ)`; `targets` are shares of classes like the logits, `[n, classes]`, so that
/// mixed images have mixed targets.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    same_shape("cross-entropy", logits, targets)?;
    let log_probabilities = candle_nn::ops::log_softmax(logits, D::Minus1)?;
    weighted_mean(&(targets * log_probabilities)?.sum(D::Minus1)?.neg()?, weights)
}
