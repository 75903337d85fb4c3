//! What a student's training makes small: the parts of `[distill.loss]`, added up.

use candle_core::Tensor;
use limbeck_models::Params;
use limbeck_models::classifier::Output;
use limbeck_models::loss::{self, Dist, Dkd, Regressor, Temperature};

use super::grader::Graded;
use crate::backend::ClassifierInfo;
use crate::plan::{DistillPlan, LossKind, LossPlan, TemperatureUnit};
use crate::training::Augmented;
use crate::{Error, Result};

/// The loss of a plan, with what is learnt beside the student for it.
pub struct Objective {
    plan: LossPlan,
    temperature: f64,
    unit: TemperatureUnit,
    /// From the student's features to the teacher's; only with a hint.
    regressor: Option<Regressor>,
}

/// Whether the loss of this plan looks at the teacher's features.
pub fn wants_features(plan: &LossPlan) -> bool {
    plan.hint > 0.0
}

/// Fails where the plan's loss needs what the teacher does not give.
pub fn check(plan: &LossPlan, teacher: &ClassifierInfo) -> Result<()> {
    if wants_features(plan) && teacher.features.is_none() {
        return Err(Error::input(format!(
            "`distill.loss.hint` needs the teacher's features, which `{}` does not give: set it to 0, or take a teacher that does",
            teacher.name
        )));
    }
    Ok(())
}

impl Objective {
    /// For a student of `width` features. What is learnt along is taken from `params`.
    pub fn new(plan: &DistillPlan, width: usize, teacher: &ClassifierInfo, params: &Params) -> Result<Self> {
        check(&plan.loss, teacher)?;
        let wanted = teacher.features.filter(|_| wants_features(&plan.loss));
        let regressor = wanted.map(|features| Regressor::new(width, features, &params.at("hint"))).transpose()?;
        let (temperature, unit) = (f64::from(plan.temperature), plan.temperature_unit);
        Ok(Self { plan: plan.loss.clone(), temperature, unit, regressor })
    }

    /// The loss of a batch, a scalar. `weights`: f32 `[n]`.
    pub fn loss(
        &self,
        student: &Output,
        teacher: &Graded,
        batch: &Augmented,
        weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let LossPlan { weight, cross_entropy, hint, .. } = self.plan;
        let mut parts = Vec::new();
        if weight > 0.0 {
            parts.push((self.of_logits(&student.logits, teacher, batch, weights)? * weight)?);
        }
        if cross_entropy > 0.0 {
            let (rows, classes) = student.logits.dims2()?;
            let targets = Tensor::from_vec(batch.targets(classes), (rows, classes), student.logits.device())?;
            parts.push((loss::cross_entropy(&student.logits, &targets, weights)? * cross_entropy)?);
        }
        if let (Some(regressor), Some(features)) = (&self.regressor, &teacher.features) {
            let (rows, width) = (student.features.dim(0)?, features.len() / student.features.dim(0)?.max(1));
            let features = Tensor::from_slice(features, (rows, width), student.features.device())?;
            parts.push((loss::hint(&regressor.forward(&student.features)?, &features, weights)? * hint)?);
        }
        let (first, rest) = parts.split_first().ok_or_else(|| Error::failed("a loss without parts"))?;
        Ok(rest.iter().try_fold(first.clone(), |sum, part| sum + part)?)
    }

    fn of_logits(
        &self,
        student: &Tensor,
        teacher: &Graded,
        batch: &Augmented,
        weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let teacher = Tensor::from_slice(&teacher.logits, student.shape(), student.device())?;
        let LossPlan { dkd_alpha, dkd_beta, dist_beta, dist_gamma, .. } = self.plan;
        let temperature = &match self.unit {
            TemperatureUnit::Logits => Temperature::All(self.temperature),
            TemperatureUnit::LogitStd => Temperature::of_deviation(self.temperature, &teacher)?,
        };
        Ok(match self.plan.kind {
            LossKind::Kd => loss::kd(student, &teacher, temperature, weights),
            LossKind::KdStandardised => loss::standardised_kd(student, &teacher, temperature, weights),
            LossKind::Dkd => {
                let classes = Tensor::new(batch.main_classes(), student.device())?;
                let parts = Dkd { alpha: dkd_alpha, beta: dkd_beta };
                loss::dkd(student, &teacher, &classes, parts, temperature, weights)
            }
            LossKind::Dist => {
                let parts = Dist { beta: dist_beta, gamma: dist_gamma };
                loss::dist(student, &teacher, parts, temperature, weights)
            }
            LossKind::LogitMse => loss::logit_mse(student, &teacher, weights),
        }?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// The losses themselves are held against PyTorch's numbers where they are.
    #[test]
    fn every_kind_is_the_loss_of_its_name() {
        let matrix = |values: [f32; 6]| Tensor::new(&values, &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
        let (student, teacher) = (matrix([1.0, -2.0, 0.5, 3.0, 0.0, -1.0]), matrix([4.0, 1.0, 0.0, -2.0, 2.5, 1.0]));
        let classes = Tensor::new(&[0_u32, 1], &Device::Cpu).unwrap();
        let (dkd, dist) = (Dkd { alpha: 1.0, beta: 8.0 }, Dist { beta: 1.0, gamma: 1.0 });
        let graded = Graded { logits: teacher.flatten_all().unwrap().to_vec1().unwrap(), features: None };
        let batch = Augmented { images: student.clone(), labels: vec![0, 1], mix: None };
        let output = Output { logits: student.clone(), features: student.clone() };
        for (unit, t) in [
            (TemperatureUnit::Logits, Temperature::All(2.0)),
            (TemperatureUnit::LogitStd, Temperature::of_deviation(2.0, &teacher).unwrap()),
        ] {
            for (kind, expected) in [
                (LossKind::Kd, loss::kd(&student, &teacher, &t, None)),
                (LossKind::KdStandardised, loss::standardised_kd(&student, &teacher, &t, None)),
                (LossKind::Dkd, loss::dkd(&student, &teacher, &classes, dkd, &t, None)),
                (LossKind::Dist, loss::dist(&student, &teacher, dist, &t, None)),
                (LossKind::LogitMse, loss::logit_mse(&student, &teacher, None)),
            ] {
                let plan = LossPlan { kind, ..LossPlan::default() };
                let objective = Objective { plan, temperature: 2.0, unit, regressor: None };
                let found = objective.loss(&output, &graded, &batch, None).unwrap().to_scalar::<f32>().unwrap();
                assert_eq!(found, expected.unwrap().to_scalar::<f32>().unwrap(), "{kind:?}, {unit:?}");
            }
        }
    }
}
