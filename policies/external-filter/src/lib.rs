//! Keep what another model approves of: images whose score in the column `column` is above a threshold, ranked by it.
//!
//! The threshold is 1/C by default, which is the CLIP filter of He, Sun, Yu and others, "Is synthetic data from generative
//! models ready for image recognition?" (ICLR 2023), section 3.1: with `p = softmax(scale · cos(image, text))`, keep an image if
//! `p_y > 1/C`, and the highest `p_y` if there are more than wanted. Any column of one number a row will do, so a score of
//! one's own can be put into the run, or `teacher.p-class` taken. Needs one number a row.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, Veto, export_scorer, within};

pub struct ExternalFilter {
    column: String,
    above: f32,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The column with the score, an f32 a row, such as `external.clip`.
    column: String,
    /// Scores must be above this, −1000000 to 1000000. Default 1/C.
    above: Option<f32>,
}

impl Policy for ExternalFilter {
    const NAME: &str = "external-filter";
    const SUMMARY: &str = "keeps images that another model scores above a threshold, such as CLIP above 1/C";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        if config.column.is_empty() {
            return Err("`column` is empty, expected the name of a column, such as \"external.clip\"".into());
        }
        let above = match config.above {
            Some(above) => within("above", above, -1e6..=1e6)?,
            None => 1.0 / env.classes.max(1) as f32,
        };
        Ok(Self { column: config.column, above })
    }

    fn needs(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn reasons(&self) -> Vec<String> {
        vec![format!("`{}` is at most {}", self.column, self.above)]
    }
}

impl Scorer for ExternalFilter {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let values = batch.f32s(&self.column)?; // [rows]
        let low = values.iter().enumerate().filter(|&(_, &value)| value <= self.above);
        let vetoes = low.map(|(row, _)| Veto { row: row as u32, reason: 0 }).collect();
        Ok(Scores { values, vetoes })
    }
}

export_scorer!(ExternalFilter);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn vetoed(config: &str, classes: u32, scores: &[f32]) -> Vec<u32> {
        let mut policy: ExternalFilter = configure(config, &Env { classes, ..Env::default() }).unwrap();
        let graded = policy.score(&Table::new(scores.len()).with_f32s("external.clip", scores.to_vec())).unwrap();
        assert_eq!(graded.values, scores, "the higher the score, the sooner kept");
        graded.vetoes.iter().map(|veto| veto.row).collect()
    }

    #[test]
    fn chance_or_less_is_dropped() {
        assert_eq!(vetoed(r#"{"column": "external.clip"}"#, 4, &[0.9, 0.25, 0.1, 0.26]), [1, 2]);
        assert_eq!(vetoed(r#"{"column": "external.clip"}"#, 2, &[0.9, 0.25, 0.1, 0.26]), [1, 2, 3]);
    }

    #[test]
    fn a_threshold_of_ones_own() {
        assert_eq!(vetoed(r#"{"column": "external.clip", "above": -0.5}"#, 4, &[-0.4, -0.5, -0.6]), [1, 2]);
    }

    #[test]
    fn all_equal_and_nothing_are_no_trouble() {
        assert_eq!(vetoed(r#"{"column": "external.clip"}"#, 2, &[0.5, 0.5]), [0, 1]);
        assert!(vetoed(r#"{"column": "external.clip"}"#, 2, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in ["{}", r#"{"column": ""}"#, r#"{"column": "x", "above": 1e9}"#, r#"{"colum": "x"}"#] {
            assert!(configure::<ExternalFilter>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
