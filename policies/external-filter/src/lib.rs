//! Keep what another program approves of: drop every image whose outside score is below a bar, rank the rest by it.
//!
//! With CLIP's probability of the class as the score and no bar given this is the CLIP filter of He, Sun, Yu, Xue, Zhang,
//! Torr, Bai and Qi, "Is synthetic data from generative models ready for image recognition?" (ICLR 2023, section 3.3):
//! keep where `p_y > 1/C`. Needs the scores (`select.external`); free beyond that.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, Veto, column, export_scorer};

pub struct ExternalFilter {
    least: f32,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The bar: an image stays where its score is above it. Any finite number. Default 1/C.
    above: Option<f32>,
}

impl Policy for ExternalFilter {
    const NAME: &str = "external-filter";
    const SUMMARY: &str = "keeps images that another program, such as CLIP, scores above a bar";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        let least = config.above.unwrap_or(1.0 / env.classes.max(1) as f32);
        if !least.is_finite() {
            return Err(format!("`above` is {least}, expected a finite number"));
        }
        Ok(Self { least })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::EXTERNAL.into()]
    }

    fn reasons(&self) -> Vec<String> {
        vec![format!("its outside score is not above {}", self.least)]
    }
}

impl Scorer for ExternalFilter {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let values = batch.f32s(column::EXTERNAL)?; // [rows]
        let low = values.iter().enumerate().filter(|&(_, &score)| score <= self.least);
        let vetoes = low.map(|(row, _)| Veto { row: row as u32, reason: 0 }).collect();
        Ok(Scores { values, vetoes })
    }
}

export_scorer!(ExternalFilter);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn dropped(config: &str, scores: &[f32]) -> Vec<u32> {
        let mut policy: ExternalFilter = configure(config, &Env { classes: 4, ..Env::default() }).unwrap();
        let scores = policy.score(&Table::new(scores.len()).with_f32s(column::EXTERNAL, scores.to_vec())).unwrap();
        scores.vetoes.iter().map(|veto| veto.row).collect()
    }

    #[test]
    fn better_than_chance_stays() {
        assert_eq!(dropped("{}", &[0.9, 0.25, 0.26, 0.1]), [1, 3]);
        assert_eq!(dropped(r#"{"above": 0.5}"#, &[0.9, 0.5, 0.26]), [1, 2]);
        assert_eq!(dropped("{}", &[]), []);
        assert!(configure::<ExternalFilter>(r#"{"abvoe": 0.5}"#, &Env::default()).is_err());
    }
}
