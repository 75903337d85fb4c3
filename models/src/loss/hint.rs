//! Hints (FitNets, Romero et al., arXiv 1412.6550): the student's features, brought to the teacher's width by a linear map
//! that is learnt along with it, are drawn to the teacher's.

use candle_core::{D, Result, Tensor};

use super::{same_shape, weighted_mean};
use crate::ops::linear;
use crate::{Init, Params};

/// The linear map from the student's features to the teacher's (equation 3's regressor).
pub struct Regressor {
    weight: Tensor,
    bias: Tensor,
}

impl Regressor {
    /// Parameters `weight [teacher, student]` and `bias [teacher]` of `params`, drawn as PyTorch's `nn.Linear` draws them.
    pub fn new(student: usize, teacher: usize, params: &Params) -> crate::Result<Self> {
        let init = Init::Uniform(1.0 / (student.max(1) as f32).sqrt());
        Ok(Self {
            weight: params.param("weight", (teacher, student), init)?,
            bias: params.param("bias", teacher, init)?,
        })
    }

    /// `[n, student]` → `[n, teacher]`.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        linear(features, &self.weight, &self.bias)
    }
}

/// `mean of wᵢ · mean over features of (studentᵢ − teacherᵢ)²`, of features `[n, width]`.
pub fn hint(student: &Tensor, teacher: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    same_shape("hint", student, teacher)?;
    weighted_mean(&(student - teacher.detach())?.sqr()?.mean(D::Minus1)?, weights)
}
