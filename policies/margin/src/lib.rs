//! Rank by margin: `p₁ − p₂`, the most probable class less the second, the *smallest* first.
//!
//! An image wins when two classes compete for it, which is where the border between them is learnt. Scheffer, Decomain and
//! Wrobel, "Active hidden Markov models for information extraction" (IDA 2001); Settles, "Active learning literature
//! survey" (2009), section 3.1. Needs one number a row. `of = "student"` asks the student, where the stage has one.

use limbeck_policy::{Batch, Env, Model, Policy, Scorer, Scores, export_scorer};

pub struct Margin {
    config: Config,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Whose margin: `teacher` (default) or `student`.
    of: Model,
}

impl Policy for Margin {
    const NAME: &str = "margin";
    const SUMMARY: &str = "keeps images between whose first two classes it is closest";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![self.config.of.column("margin")]
    }
}

impl Scorer for Margin {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let margin = batch.f32s(&self.config.of.column("margin"))?; // [rows]
        // The host keeps the highest scores, the rule the smallest margins.
        Ok(Scores { values: margin.into_iter().map(|margin| -margin).collect(), vetoes: Vec::new() })
    }
}

export_scorer!(Margin);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn scores(config: &str, column: &str, margin: &[f32]) -> Vec<f32> {
        let mut policy: Margin = configure(config, &Env::default()).unwrap();
        policy.score(&Table::new(margin.len()).with_f32s(column, margin.to_vec())).unwrap().values
    }

    #[test]
    fn a_close_race_wins_over_a_clear_one() {
        let scores = scores("{}", "teacher.margin", &[0.9, 0.05, 0.3]);
        assert!(scores[1] > scores[2] && scores[2] > scores[0], "{scores:?}");
    }

    #[test]
    fn the_student_may_be_asked() {
        assert_eq!(scores(r#"{"of": "student"}"#, "student.margin", &[0.5]), [-0.5]);
        assert!(configure::<Margin>(r#"{"off": "student"}"#, &Env::default()).is_err());
    }

    #[test]
    fn ties_and_nothing_are_no_trouble() {
        assert_eq!(scores("{}", "teacher.margin", &[0.2, 0.2]), [-0.2, -0.2]);
        assert!(scores("{}", "teacher.margin", &[]).is_empty());
    }
}
