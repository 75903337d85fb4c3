//! Rank by the length of a student's error, the largest first: `‖q − e_y‖` (`against = "label"`) or `‖q − p‖`
//! (`against = "teacher"`, its form for distillation).
//!
//! EL2N of Paul, Ganguli and Dziugaite, "Deep learning on a data diet" (NeurIPS 2021, definition 2.2). Their finding is for
//! an early student: take one from the first epochs of a short run. Very large scores can be spoilt images, so `skip`
//! leaves out everything above it. Needs a student (`select.student`); costs 2 C exponentials an image.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, Veto, column, export_scorer, within};

pub struct El2n {
    config: Config,
}

/// What the student is measured against.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    #[default]
    Teacher,
    Label,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `teacher` (default) or `label`.
    against: Against,
    /// Drop what scores above this, 0 to 1.5 (no score is above √2). Default 1.5: nothing.
    skip: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { against: Against::Teacher, skip: 1.5 }
    }
}

impl Policy for El2n {
    const NAME: &str = "el2n";
    const SUMMARY: &str = "ranks images by the length of an earlier student's error";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("skip", config.skip, 0.0..=1.5)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        let other = match self.config.against {
            Against::Teacher => column::TEACHER_PROBS,
            Against::Label => column::CLASS,
        };
        vec![column::STUDENT_PROBS.into(), other.into()]
    }

    fn reasons(&self) -> Vec<String> {
        vec![format!("the student's error is above {}", self.config.skip)]
    }
}

impl Scorer for El2n {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let q = batch.f32s(column::STUDENT_PROBS)?; // [rows, C]
        let classes = (q.len() / batch.rows().max(1)).max(1);
        let rows = q.chunks_exact(classes);
        let values: Vec<f32> = match self.config.against {
            Against::Teacher => {
                let p = batch.f32s(column::TEACHER_PROBS)?; // [rows, C]
                rows.zip(p.chunks_exact(classes)).map(|(q, p)| length(q, |k| p[k])).collect()
            }
            Against::Label => {
                let class = batch.u64s(column::CLASS)?; // [rows]
                let one_hot = |y: u64| move |k: usize| f32::from(u8::from(k as u64 == y));
                rows.zip(class).map(|(q, y)| length(q, one_hot(y))).collect()
            }
        };
        let high = values.iter().enumerate().filter(|&(_, &score)| f64::from(score) > self.config.skip);
        let vetoes = high.map(|(row, _)| Veto { row: row as u32, reason: 0 }).collect();
        Ok(Scores { values, vetoes })
    }
}

/// `‖q − target‖`
fn length(q: &[f32], target: impl Fn(usize) -> f32) -> f32 {
    let squares = q.iter().enumerate().map(|(k, &q)| f64::from(q - target(k)) * f64::from(q - target(k)));
    squares.sum::<f64>().sqrt() as f32
}

export_scorer!(El2n);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    /// A student that is right, undecided, wrong; a teacher that is undecided in all three.
    fn scores(config: &str) -> Scores {
        let mut policy: El2n = configure(config, &Env::default()).unwrap();
        let batch = Table::new(3)
            .with_f32s(column::STUDENT_PROBS, vec![1.0, 0.0, 0.5, 0.5, 0.0, 1.0])
            .with_f32s(column::TEACHER_PROBS, vec![0.5; 6])
            .with_u64s(column::CLASS, vec![0, 0, 0]);
        policy.score(&batch).unwrap()
    }

    #[test]
    fn the_worst_error_wins() {
        let values = scores(r#"{"against": "label"}"#).values;
        assert!(values[2] > values[1] && values[1] > values[0], "{values:?}");
        assert!((values[2] - 2.0_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn against_the_teacher_agreement_loses() {
        let values = scores("{}").values;
        assert!(values[0] > values[1] && values[1] == 0.0, "{values:?}");
    }

    #[test]
    fn what_is_beyond_measure_is_dropped() {
        let vetoes = scores(r#"{"against": "label", "skip": 1.2}"#).vetoes;
        assert_eq!(vetoes.iter().map(|veto| veto.row).collect::<Vec<_>>(), [2]);
        for config in [r#"{"skip": 2}"#, r#"{"agianst": "label"}"#] {
            assert!(configure::<El2n>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
