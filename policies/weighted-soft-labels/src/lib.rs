//! Weight by how much better the teacher knows the label than the student: `w = 1 − exp(−ℓ_s / ℓ_t)`, where `ℓ` are the
//! cross-entropies of the intended class.
//!
//! Weighted soft labels of Zhou, Song, Chen, Zhou, Wang, Yuan and Zhang, "Rethinking soft labels for knowledge
//! distillation: a bias-variance tradeoff perspective" (ICLR 2021, eq. 9): where the teacher itself is far from the label,
//! its soft target counts little. Costs 2 C exponentials an image, on the host.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math};

pub struct WeightedSoftLabels;

/// Nothing to configure.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// What a perfect teacher's loss counts as: its quotient must stay a number.
const LEAST_LOSS: f64 = 1e-7;
/// No weight is nothing, so that a step in which teacher and student are both right still has a gradient.
const LEAST_WEIGHT: f64 = 1e-6;

impl Policy for WeightedSoftLabels {
    const NAME: &str = "weighted-soft-labels";
    const SUMMARY: &str = "images on which the teacher is better than the student count more";
    type Config = Config;

    fn new(_: Config, _: &Env) -> Result<Self, String> {
        Ok(Self)
    }

    fn needs(&self) -> Vec<String> {
        vec![column::STUDENT_LOSS.into(), column::TEACHER_LOSS.into()]
    }
}

impl Weigher for WeightedSoftLabels {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let student = batch.f32s(column::STUDENT_LOSS)?; // [rows], nats
        let teacher = batch.f32s(column::TEACHER_LOSS)?; // [rows], nats
        let weight = |(s, t): (f32, f32)| {
            let quotient = f64::from(s).max(0.0) / f64::from(t).max(LEAST_LOSS);
            (1.0 - math::exp(-quotient)).max(LEAST_WEIGHT) as f32
        };
        Ok(student.into_iter().zip(teacher).map(weight).collect())
    }
}

export_weigher!(WeightedSoftLabels);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(student: &[f32], teacher: &[f32]) -> Vec<f32> {
        let mut policy: WeightedSoftLabels = configure("{}", &Env::default()).unwrap();
        let batch = Table::new(student.len())
            .with_f32s(column::STUDENT_LOSS, student.to_vec())
            .with_f32s(column::TEACHER_LOSS, teacher.to_vec());
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn a_better_teacher_weighs_more() {
        let weights = weights(&[2.0, 2.0, 0.1], &[0.1, 2.0, 2.0]);
        assert!(weights[0] > weights[1] && weights[1] > weights[2], "{weights:?}");
        assert!((weights[1] - (1.0 - (-1.0_f32).exp())).abs() < 1e-6);
    }

    #[test]
    fn perfect_models_still_count() {
        let weights = weights(&[0.0, 1.0], &[0.0, 0.0]);
        assert!(weights[0] > 0.0 && weights[1] == 1.0, "{weights:?}");
    }
}
