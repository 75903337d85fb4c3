//! Rank by the teacher's margin `p₁ − p₂` between its first and second guess.
//!
//! `prefer = "small"` keeps the images between two classes: margin sampling (Scheffer, Decomain and Wrobel, "Active hidden
//! Markov models for information extraction", IDA 2001). `prefer = "large"` keeps the clear ones. Costs C exponentials an
//! image, on the host.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, column, export_scorer};

pub struct Margin {
    config: Config,
}

/// Which end of the scale is kept.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    #[default]
    Small,
    Large,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `small` (default) or `large`.
    prefer: Prefer,
}

impl Policy for Margin {
    const NAME: &str = "margin";
    const SUMMARY: &str = "ranks images by how close the teacher's two best guesses are";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::TEACHER_MARGIN.into()]
    }
}

impl Scorer for Margin {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let value = batch.f32s(column::TEACHER_MARGIN)?; // [rows]
        let score = |value: f32| match self.config.prefer {
            Prefer::Small => -value,
            Prefer::Large => value,
        };
        Ok(Scores { values: value.into_iter().map(score).collect(), vetoes: Vec::new() })
    }
}

export_scorer!(Margin);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    /// Scores of a clear image, and of one between two classes.
    fn scores(config: &str) -> Vec<f32> {
        let mut policy: Margin = configure(config, &Env::default()).unwrap();
        policy.score(&Table::new(2).with_f32s(column::TEACHER_MARGIN, vec![0.9, 0.05])).unwrap().values
    }

    #[test]
    fn the_torn_image_wins_unless_told_otherwise() {
        let [clear, torn] = scores("{}")[..] else { panic!("two scores") };
        assert!(torn > clear);
        let [clear, torn] = scores(r#"{"prefer": "large"}"#)[..] else { panic!("two scores") };
        assert!(clear > torn);
        assert!(configure::<Margin>(r#"{"prefer": "none"}"#, &Env::default()).is_err());
    }
}
