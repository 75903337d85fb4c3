//! Decoupled knowledge distillation (Zhao et al., arXiv 2203.08679): the target class against all others, and the others
//! among themselves, each with a weight of its own.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::log_softmax;

use super::{Temperature, same_shape, weighted_mean};

/// Takes a class out of a softmax: no difference of logits comes near it, and its multiples stay finite.
const OUT: f64 = -1e9;

/// The weights of the two parts, equation 7. The paper takes α = 1 and β from 0.5 to 10, larger for surer teachers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dkd {
    pub alpha: f64,
    pub beta: f64,
}

/// `mean of wᵢ τᵢ² (α TCKDᵢ + β NCKDᵢ)` of logits `[n, classes]`; `classes` are the target classes, `[n]`, u32.
pub fn dkd(
    student: &Tensor,
    teacher: &Tensor,
    classes: &Tensor,
    parts: Dkd,
    temperature: &Temperature,
    weights: Option<&Tensor>,
) -> Result<Tensor> {
    same_shape("dkd", student, teacher)?;
    let target = one_hot(classes, student.dim(1)?)?;
    let student = Split::new(&temperature.soften(student)?, &target)?;
    let teacher = Split::new(&temperature.soften(&teacher.detach())?, &target)?;
    // Over two outcomes, the target class and any other (equation 4).
    let tckd = (divergence(&teacher.target, &student.target)? + divergence(&teacher.rest, &student.rest)?)?;
    let nckd = divergence(&teacher.others, &student.others)?.sum(D::Minus1)?;
    let each = ((tckd * parts.alpha)? + (nckd * parts.beta)?)?;
    weighted_mean(&temperature.rescale(&each)?, weights)
}

/// Logarithms of probabilities.
struct Split {
    /// Of the target class, `[n]`.
    target: Tensor,
    /// Of all other classes together, `[n]`.
    rest: Tensor,
    /// Of each class given that it is not the target, `[n, classes]`; about [`OUT`] at the target.
    others: Tensor,
}

impl Split {
    fn new(logits: &Tensor, target: &Tensor) -> Result<Self> {
        let log_p = log_softmax(logits, D::Minus1)?;
        let without = (&log_p + (target * OUT)?)?;
        let rest = without.log_sum_exp(D::Minus1)?;
        let others = without.broadcast_sub(&rest.unsqueeze(1)?)?;
        Ok(Self { target: (log_p * target)?.sum(D::Minus1)?, rest, others })
    }
}

/// `p log(p / q)` of logarithms, element by element; 0 where p is.
fn divergence(log_p: &Tensor, log_q: &Tensor) -> Result<Tensor> {
    log_p.exp()? * (log_p - log_q)?
}

fn one_hot(classes: &Tensor, count: usize) -> Result<Tensor> {
    let all = Tensor::arange(0, count as u32, classes.device())?;
    classes.unsqueeze(1)?.broadcast_eq(&all.unsqueeze(0)?)?.to_dtype(DType::F32)
}
