//! DIST (Huang et al., arXiv 2205.10536): the correlation between the student's and the teacher's probabilities, within
//! each image over the classes and within each class over the images of the batch.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax;

use super::{Temperature, same_shape, weighted_mean};

/// Added to the product of two norms, as the authors do.
const EPSILON: f64 = 1e-8;

/// Under the root of a norm: probabilities that are all the same have no direction, and then no gradient.
const TINY: f64 = 1e-24;

/// The weights of the two parts, equation 10: `beta` of the relation between classes, `gamma` of that within a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dist {
    pub beta: f64,
    pub gamma: f64,
}

/// `β · mean of wᵢ τᵢ² (1 − ρ over classes) + γ · mean τ² · mean over classes of (1 − ρ over images)`, ρ being Pearson's
/// correlation of the probabilities; over images it is the correlation with weights wᵢ. Of logits `[n, classes]`.
pub fn dist(
    student: &Tensor,
    teacher: &Tensor,
    parts: Dist,
    temperature: &Temperature,
    weights: Option<&Tensor>,
) -> Result<Tensor> {
    same_shape("dist", student, teacher)?;
    let probabilities = |logits: &Tensor| softmax(&temperature.soften(logits)?, D::Minus1);
    let (student, teacher) = (probabilities(student)?, probabilities(&teacher.detach())?);
    let between = one_minus_correlation(&student, &teacher, None)?; // [n]
    let between = weighted_mean(&temperature.rescale(&between)?, weights)?;
    let within = one_minus_correlation(&student.t()?, &teacher.t()?, weights)?.mean_all()?; // over [classes]
    let scale = temperature.rescale(&Tensor::ones(student.dim(0)?, student.dtype(), student.device())?)?.mean_all()?;
    (between * parts.beta)? + (within * scale)? * parts.gamma
}

/// `1 − ρ` of each row of two matrices `[rows, columns]`, with weights of the columns.
fn one_minus_correlation(a: &Tensor, b: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    let weights = match weights {
        Some(weights) => weights.clone(),
        None => Tensor::ones(a.dim(1)?, a.dtype(), a.device())?,
    };
    let total = (weights.sum_all()? + TINY)?;
    let weights = weights.unsqueeze(0)?; // [1, columns]
    let sum = |x: &Tensor| x.broadcast_mul(&weights)?.sum_keepdim(1);
    let centred = |x: &Tensor| x.broadcast_sub(&sum(x)?.broadcast_div(&total)?);
    let (a, b) = (centred(a)?, centred(b)?);
    let norm = |x: &Tensor| (sum(&x.sqr()?)? + TINY)?.sqrt();
    let product = sum(&(&a * &b)?)?;
    let norms = ((norm(&a)? * norm(&b)?)? + EPSILON)?;
    1.0 - (product / norms)?.squeeze(1)?
}
