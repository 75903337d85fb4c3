//! Rank by least confidence: `1 − max p`, the highest first.
//!
//! An image wins when even the best guess about it is weak. Uncertainty sampling in its simplest form: Lewis and Gale, "A
//! sequential algorithm for training text classifiers" (SIGIR 1994); Settles, "Active learning literature survey" (2009),
//! section 3.1. Needs one number a row. `of = "student"` asks the student, where the stage has one.

use limbeck_policy::{Batch, Env, Model, Policy, Scorer, Scores, export_scorer};

pub struct LeastConfidence {
    config: Config,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Whose confidence: `teacher` (default) or `student`.
    of: Model,
}

impl Policy for LeastConfidence {
    const NAME: &str = "least-confidence";
    const SUMMARY: &str = "keeps images whose most probable class is the least probable";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![self.config.of.column("max-prob")]
    }
}

impl Scorer for LeastConfidence {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let max_prob = batch.f32s(&self.config.of.column("max-prob"))?; // [rows]
        Ok(Scores { values: max_prob.into_iter().map(|p| 1.0 - p).collect(), vetoes: Vec::new() })
    }
}

export_scorer!(LeastConfidence);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn scores(config: &str, column: &str, p: &[f32]) -> Vec<f32> {
        let mut policy: LeastConfidence = configure(config, &Env::default()).unwrap();
        policy.score(&Table::new(p.len()).with_f32s(column, p.to_vec())).unwrap().values
    }

    #[test]
    fn a_weak_best_guess_wins_over_a_strong_one() {
        let scores = scores("{}", "teacher.max-prob", &[0.99, 0.4]);
        assert!(scores[1] > scores[0], "{scores:?}");
    }

    #[test]
    fn the_student_may_be_asked() {
        assert_eq!(scores(r#"{"of": "student"}"#, "student.max-prob", &[0.5, 0.5]), [0.5, 0.5]);
        assert!(configure::<LeastConfidence>(r#"{"of": "both"}"#, &Env::default()).is_err());
    }

    #[test]
    fn nothing_and_one_class_are_no_trouble() {
        assert!(scores("{}", "teacher.max-prob", &[]).is_empty());
        assert_eq!(scores("{}", "teacher.max-prob", &[1.0]), [0.0]);
    }
}
