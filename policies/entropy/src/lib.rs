//! Rank by the entropy `H(p) = −Σ p ln p` of the teacher, or of the student with `of = "student"`.
//!
//! `prefer = "uncertain"` keeps the images of the highest entropy, near the borders between classes: uncertainty sampling
//! (Shannon entropy as in Settles, "Active learning literature survey", 2009). `prefer = "certain"` keeps those of the
//! lowest, the clean ones, which serves better when many generated images are spoilt.

use limbeck_policy::{Batch, Env, Model, Policy, Scorer, Scores, export_scorer};

pub struct Entropy {
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
    /// Whose entropy: `teacher` (default) or `student`, where the stage has one.
    of: Model,
    /// `uncertain` (default) or `certain`.
    prefer: Prefer,
}

impl Policy for Entropy {
    const NAME: &str = "entropy";
    const SUMMARY: &str = "ranks images by how undecided the teacher is";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![self.config.of.column("entropy")]
    }
}

impl Scorer for Entropy {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let mut values = batch.f32s(&self.config.of.column("entropy"))?; // [rows], nats
        if let Prefer::Certain = self.config.prefer {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        Ok(Scores { values, vetoes: Vec::new() })
    }
}

export_scorer!(Entropy);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, column, configure};

    /// Which of a sure and an unsure image scores higher.
    fn winner(config: &str) -> &'static str {
        let mut policy: Entropy = configure(config, &Env::default()).unwrap();
        let values = policy.score(&Table::new(2).with_f32s(column::TEACHER_ENTROPY, vec![0.1, 1.5])).unwrap().values;
        if values[0] > values[1] { "sure" } else { "unsure" }
    }

    #[test]
    fn the_direction_is_configured() {
        assert_eq!(winner("{}"), "unsure");
        assert_eq!(winner(r#"{"prefer": "uncertain"}"#), "unsure");
        assert_eq!(winner(r#"{"prefer": "certain"}"#), "sure");
        assert!(configure::<Entropy>(r#"{"prefer": "both"}"#, &Env::default()).is_err());
    }
}
