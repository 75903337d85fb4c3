//! Selective backprop: an image counts with probability `u^(1/keep − 1)`, where `u` is the percentile of its loss in the
//! batch; the others don't count in this step.
//!
//! On average the share `keep` of a batch counts, the hardest images nearly always. Jiang, Wong, Zhou, Andersen, Dean,
//! Ganger, Joshi, Kaminsky, Kozuch, Lipton and Pillai, "Accelerating deep learning by focusing on the biggest losers" (2019),
//! section 3.2, `P = CDF(ℓ)^β`; the CDF is that of the batch here, equals sharing their middle rank. Needs one number a
//! row and one random number each.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, random, within};

pub struct SelectiveBackprop {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The share of each batch that counts on average, 0.01 to 1. Default 0.5.
    keep: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { keep: 0.5 }
    }
}

impl Policy for SelectiveBackprop {
    const NAME: &str = "selective-backprop";
    const SUMMARY: &str = "images count in a step with a probability that rises with their loss";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("keep", config.keep, 0.01..=1.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::KL.into()]
    }
}

impl SelectiveBackprop {
    /// How probably each row counts.
    fn probabilities(&self, losses: &[f32]) -> Vec<f64> {
        let mut sorted = losses.to_vec();
        sorted.sort_by(f32::total_cmp);
        let probability = |&loss: &f32| {
            let (below, up_to) =
                (sorted.partition_point(|&other| other < loss), sorted.partition_point(|&x| x <= loss));
            let percentile = (below + up_to) as f64 / 2.0 / sorted.len() as f64;
            math::pow(percentile, 1.0 / self.config.keep - 1.0)
        };
        losses.iter().map(probability).collect()
    }
}

impl Weigher for SelectiveBackprop {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let losses = batch.f32s(column::KL)?; // [rows], nats
        let draws = random(losses.len() as u32);
        let probabilities = self.probabilities(&losses);
        let mut weights: Vec<f32> =
            probabilities.iter().zip(draws).map(|(&p, draw)| if math::unit(draw) < p { 1.0 } else { 0.0 }).collect();
        if !weights.contains(&1.0) {
            // A step needs something to learn from: the hardest.
            let most = losses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().zip(&losses).filter(|(_, loss)| **loss == most).for_each(|(weight, _)| *weight = 1.0);
        }
        Ok(weights)
    }
}

export_weigher!(SelectiveBackprop);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn policy(keep: f64) -> SelectiveBackprop {
        configure(&format!(r#"{{"keep": {keep}}}"#), &Env::default()).unwrap()
    }

    fn weights(keep: f64, losses: &[f32]) -> Vec<f32> {
        policy(keep).weigh(&Table::new(losses.len()).with_f32s(column::KL, losses.to_vec())).unwrap()
    }

    #[test]
    fn the_harder_the_more_probable() {
        let p = policy(0.25).probabilities(&[0.1, 5.0, 1.0]);
        assert!(p[1] > p[2] && p[2] > p[0], "{p:?}");
    }

    #[test]
    fn the_share_is_kept_on_average() {
        let losses: Vec<f32> = (0..4000).map(|row| row as f32).collect();
        let kept = weights(0.3, &losses).iter().filter(|&&weight| weight == 1.0).count() as f64 / 4000.0;
        assert!((kept - 0.3).abs() < 0.03, "{kept}");
        assert_eq!(weights(1.0, &losses), vec![1.0; 4000]);
    }

    #[test]
    fn a_step_is_never_empty() {
        assert_eq!(weights(0.01, &[1.0]), [1.0]);
        assert!(weights(0.01, &[2.0; 3]).contains(&1.0));
        assert!(weights(0.5, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"keep": 0}"#, r#"{"keep": 1.1}"#, r#"{"beta": 1}"#] {
            assert!(configure::<SelectiveBackprop>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
