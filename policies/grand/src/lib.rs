//! Rank by the length of the loss's gradient in the last layer of a student, the largest first:
//! `‖q − e_y‖ · √(1 + ‖f‖²)`, where `f` is what the last layer sees (the 1 is its bias).
//!
//! GraNd of Paul, Ganguli and Dziugaite, "Deep learning on a data diet" (NeurIPS 2021, definition 2.1), restricted to the
//! last layer, where the gradient of the cross-entropy is `(q − e_y) ⊗ (f, 1)`. Needs a student (`select.student`); costs C
//! exponentials and the features of an image.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, column, export_scorer};

pub struct Grand;

/// Nothing to configure.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Policy for Grand {
    const NAME: &str = "grand";
    const SUMMARY: &str = "ranks images by the gradient that they give an earlier student's last layer";
    type Config = Config;

    fn new(_: Config, _: &Env) -> Result<Self, String> {
        Ok(Self)
    }

    fn needs(&self) -> Vec<String> {
        vec![column::STUDENT_PROBS.into(), column::STUDENT_FEATURES.into(), column::CLASS.into()]
    }
}

impl Scorer for Grand {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let rows = batch.rows();
        if rows == 0 {
            return Ok(Scores::default());
        }
        let q = batch.f32s(column::STUDENT_PROBS)?; // [rows, C]
        let features = batch.f32s(column::STUDENT_FEATURES)?; // [rows, width]
        let class = batch.u64s(column::CLASS)?; // [rows]
        let (classes, width) = (q.len() / rows, features.len() / rows);
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
        let score = |((q, features), y): ((&[f32], &[f32]), &u64)| {
            let mut errors = q.iter().enumerate().map(|(k, &q)| f64::from(q) - f64::from(u8::from(k as u64 == *y)));
            let error = squares(&mut errors);
            let input = 1.0 + squares(&mut features.iter().map(|&f| f64::from(f)));
            (error * input).sqrt() as f32
        };
        let all = q.chunks_exact(classes).zip(features.chunks_exact(width)).zip(&class);
        Ok(Scores { values: all.map(score).collect(), vetoes: Vec::new() })
    }
}

export_scorer!(Grand);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    #[test]
    fn large_errors_on_large_features_win() {
        let mut policy: Grand = configure("{}", &Env::default()).unwrap();
        let batch = Table::new(3)
            .with_f32s(column::STUDENT_PROBS, vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
            .with_f32s(column::STUDENT_FEATURES, vec![5.0, 0.0, 0.0, 0.0, 3.0, 4.0])
            .with_u64s(column::CLASS, vec![0, 0, 0]);
        let values = policy.score(&batch).unwrap().values;
        assert_eq!(values[0], 0.0);
        assert!((values[1] - 2.0_f32.sqrt()).abs() < 1e-6 && (values[2] - 52.0_f32.sqrt()).abs() < 1e-5, "{values:?}");
        assert_eq!(policy.score(&Table::new(0)), Ok(Scores::default()));
    }
}
