//! Rank by how little the teacher believes in what it sees: `1 − max p`.
//!
//! `prefer = "uncertain"` keeps the images of which the teacher is least sure: least-confidence sampling (Lewis and Gale,
//! "A sequential algorithm for training text classifiers", SIGIR 1994). `prefer = "certain"` keeps those of which it is
//! most sure. Costs C exponentials an image, on the host.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, column, export_scorer};

pub struct LeastConfidence {
    config: Config,
}

/// Which end of the scale is kept.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    #[default]
    Uncertain,
    Certain,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `uncertain` (default) or `certain`.
    prefer: Prefer,
}

impl Policy for LeastConfidence {
    const NAME: &str = "least-confidence";
    const SUMMARY: &str = "ranks images by how little the teacher believes its first guess";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::TEACHER_MAX_PROB.into()]
    }
}

impl Scorer for LeastConfidence {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let value = batch.f32s(column::TEACHER_MAX_PROB)?; // [rows]
        let score = |value: f32| match self.config.prefer {
            Prefer::Uncertain => 1.0 - value,
            Prefer::Certain => value,
        };
        Ok(Scores { values: value.into_iter().map(score).collect(), vetoes: Vec::new() })
    }
}

export_scorer!(LeastConfidence);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    /// Scores of an image that the teacher is sure of, and of one that it is not.
    fn scores(config: &str) -> Vec<f32> {
        let mut policy: LeastConfidence = configure(config, &Env::default()).unwrap();
        policy.score(&Table::new(2).with_f32s(column::TEACHER_MAX_PROB, vec![0.99, 0.4])).unwrap().values
    }

    #[test]
    fn the_unsure_image_wins_unless_told_otherwise() {
        let [sure, unsure] = scores("{}")[..] else { panic!("two scores") };
        assert!(unsure > sure);
        let [sure, unsure] = scores(r#"{"prefer": "certain"}"#)[..] else { panic!("two scores") };
        assert!(sure > unsure);
    }

    #[test]
    fn nothing_gives_nothing_and_misspelt_keys_are_refused() {
        let mut policy: LeastConfidence = configure("{}", &Env::default()).unwrap();
        assert!(policy.score(&Table::new(0).with_f32s(column::TEACHER_MAX_PROB, vec![])).unwrap().values.is_empty());
        assert!(configure::<LeastConfidence>(r#"{"preffer": "certain"}"#, &Env::default()).is_err());
    }
}
