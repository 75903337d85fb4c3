//! Learn from an image with a probability that grows with its loss: `P = percentile(ℓ)^β`, weight 1 with that probability
//! and 0 otherwise.
//!
//! Jiang, Wong, Zhou, Andersen, Dean, Ganger, Joshi, Kaminsky, Kozuch, Lipton and Pillai, "Accelerating deep learning by
//! focusing on the biggest losers" (2019, eq. 1). `β = 1/keep − 1`, so that the share `keep` is kept on average; the
//! percentile is that within the batch. The largest loss is always kept. Costs C exponentials an image, on the host.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, random, within};

pub struct SelectiveBackprop {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The share that is kept on average, above 0 to 1. Default 0.5.
    keep: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { keep: 0.5 }
    }
}

impl Policy for SelectiveBackprop {
    const NAME: &str = "selective-backprop";
    const SUMMARY: &str = "images count by chance, those of large losses more often";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("keep", config.keep, 0.01..=1.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::STUDENT_LOSS.into()]
    }
}

impl Weigher for SelectiveBackprop {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let power = 1.0 / self.config.keep - 1.0;
        let loss = batch.f32s(column::STUDENT_LOSS)?; // [rows], nats
        let draws = random(loss.len() as u32);
        let mut order: Vec<usize> = (0..loss.len()).collect();
        order.sort_by(|&a, &b| loss[a].total_cmp(&loss[b]).then(a.cmp(&b)));
        let mut weights = vec![0.0; loss.len()];
        for (place, row) in order.into_iter().enumerate() {
            let percentile = (place + 1) as f64 / loss.len() as f64;
            // 53 random bits make a number from 0 to below 1.
            let chance = (draws[row] >> 11) as f64 / (1_u64 << 53) as f64;
            if chance < math::pow(percentile, power) {
                weights[row] = 1.0;
            }
        }
        Ok(weights)
    }
}

export_weigher!(SelectiveBackprop);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    /// How often each of four losses is kept, of 1000 times.
    fn counts(config: &str) -> [f32; 4] {
        let mut policy: SelectiveBackprop = configure(config, &Env::default()).unwrap();
        let batch = Table::new(4).with_f32s(column::STUDENT_LOSS, vec![0.1, 4.0, 1.0, 2.0]);
        let mut counts = [0.0; 4];
        for _ in 0..1000 {
            let weights = policy.weigh(&batch).unwrap();
            counts.iter_mut().zip(weights).for_each(|(count, weight)| *count += weight);
        }
        counts
    }

    #[test]
    fn the_larger_the_loss_the_more_often() {
        let counts = counts("{}");
        assert_eq!(counts[1], 1000.0);
        assert!(counts[1] > counts[3] && counts[3] > counts[2] && counts[2] > counts[0], "{counts:?}");
        assert!((counts[0] - 250.0).abs() < 60.0, "{counts:?}");
    }

    #[test]
    fn keeping_all_is_uniform() {
        assert_eq!(counts(r#"{"keep": 1}"#), [1000.0; 4]);
        for config in [r#"{"keep": 0}"#, r#"{"share": 0.5}"#] {
            assert!(configure::<SelectiveBackprop>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
