//! Knowledge distillation (Hinton et al., arXiv 1503.02531).

use candle_core::{Result, Tensor};

use super::{Temperature, same_shape};
use crate::ops::kd_loss;

/// `mean of wᵢ τᵢ² KL(softmax(teacherᵢ / τᵢ) ‖ softmax(studentᵢ / τᵢ))`, of logits `[n, classes]`.
pub fn kd(student: &Tensor, teacher: &Tensor, temperature: &Temperature, weights: Option<&Tensor>) -> Result<Tensor> {
    same_shape("kd", student, teacher)?;
    match temperature {
        Temperature::All(temperature) => kd_loss(student, teacher, weights, *temperature),
        Temperature::Each(each) => {
            let (student, teacher) = (temperature.soften(student)?, temperature.soften(teacher)?);
            let weights = match weights {
                Some(weights) => temperature.rescale(weights)?,
                None => each.sqr()?,
            };
            kd_loss(&student, &teacher, Some(&weights), 1.0)
        }
    }
}
