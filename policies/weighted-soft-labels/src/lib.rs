//! Weighted soft labels: `w = max(1 − exp(−ℓ_s / ℓ_t), floor)`, with the cross-entropies `ℓ_s = −ln q_y` of the student and
//! `ℓ_t = −ln p_y` of the teacher.
//!
//! An image counts while the student does worse on it than the teacher; where the student is already ahead, the teacher's
//! soft label would rather pull it back, and counts less. Zhou, Song, Chen, Zhou, Wang, Yuan and Zhang, "Rethinking soft
//! labels for knowledge distillation: a bias-variance tradeoff perspective" (ICLR 2021), the weight of their distillation
//! term. Needs two numbers a row.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct WeightedSoftLabels {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The least weight, 0.000001 to 1. Default 0.001.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { floor: 1e-3 }
    }
}

/// A teacher's loss below this is this: it has no error to compare with.
const LEAST_LOSS: f64 = 1e-9;

impl Policy for WeightedSoftLabels {
    const NAME: &str = "weighted-soft-labels";
    const SUMMARY: &str = "images on which the student is behind the teacher count more";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("floor", config.floor, 1e-6..=1.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::STUDENT_LOSS.into(), column::TEACHER_LOSS.into()]
    }
}

impl Weigher for WeightedSoftLabels {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let (student, teacher) = (batch.f32s(column::STUDENT_LOSS)?, batch.f32s(column::TEACHER_LOSS)?); // [rows], nats
        let weight = |(student, teacher): (f32, f32)| {
            let ratio = f64::from(student) / f64::from(teacher).max(LEAST_LOSS);
            (1.0 - math::exp(-ratio)).max(self.config.floor) as f32
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
    fn the_student_that_is_behind_weighs_more() {
        let weights = weights(&[2.0, 1.0, 0.1], &[1.0, 1.0, 1.0]);
        assert!(weights[0] > weights[1] && weights[1] > weights[2], "{weights:?}");
        assert_eq!(weights[1], (1.0 - math::exp(-1.0)) as f32);
    }

    #[test]
    fn the_better_teacher_weighs_more() {
        let weights = weights(&[1.0, 1.0], &[0.1, 2.0]);
        assert!(weights[0] > weights[1], "{weights:?}");
    }

    #[test]
    fn perfect_models_and_nothing_are_no_trouble() {
        assert_eq!(weights(&[0.0, 1.0, 0.0], &[0.0, 0.0, 1.0]), [1e-3, 1.0, 1e-3]);
        assert!(weights(&[], &[]).is_empty());
        assert!(configure::<WeightedSoftLabels>(r#"{"floor": 0}"#, &Env::default()).is_err());
    }
}
