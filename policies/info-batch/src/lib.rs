//! Pass over some of the images that are learnt already, without a bias: where the last loss is below the mean, weight 0
//! with probability `r` and `1/(1 − r)` otherwise; 1 for the rest and in the last epochs.
//!
//! Qin, Wang, Zheng, Gu, Peng, Xu, Zhou, Shang, Sun, Xie and You, "InfoBatch: lossless training speed up by unbiased dynamic
//! data pruning" (ICLR 2024, eq. 4 and 7). Here the mean is that of the batch, and a pruned image is still computed: the
//! policy shows what pruning does to accuracy, not what it saves. Free beyond the history.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, random, within};

pub struct InfoBatch {
    config: Config,
    total_steps: u64,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// r, the probability that a learnt image is passed over, 0 to 0.95. Default 0.5.
    ratio: f64,
    /// The share of training after which every image counts again, 0 to 1. Default 0.875.
    until: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { ratio: 0.5, until: 0.875 }
    }
}

impl Policy for InfoBatch {
    const NAME: &str = "info-batch";
    const SUMMARY: &str = "learnt images are passed over by chance, and count more when they aren't";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("ratio", config.ratio, 0.0..=0.95)?;
        within("until", config.until, 0.0..=1.0)?;
        Ok(Self { config, total_steps: env.total_steps.max(1) })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::HISTORY_LOSS.into(), column::HISTORY_SEEN.into()]
    }
}

impl Weigher for InfoBatch {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { ratio, until } = self.config;
        let loss = batch.f32s(column::HISTORY_LOSS)?; // [rows], nats
        let seen = batch.u64s(column::HISTORY_SEEN)?; // [rows]
        let draws = random(loss.len() as u32);
        if batch.step() as f64 >= until * self.total_steps as f64 {
            return Ok(vec![1.0; loss.len()]);
        }
        let mean = loss.iter().map(|&loss| f64::from(loss)).sum::<f64>() / loss.len().max(1) as f64;
        let weight = |((&loss, &seen), &draw): ((&f32, &u64), &u64)| {
            let learnt = seen > 0 && f64::from(loss) < mean;
            // 53 random bits make a number from 0 to below 1.
            let chance = (draw >> 11) as f64 / (1_u64 << 53) as f64;
            match (learnt, chance < ratio) {
                (false, _) => 1.0,
                (true, true) => 0.0,
                (true, false) => (1.0 / (1.0 - ratio)) as f32,
            }
        };
        // One image at least is not below the mean, so that the weights are never all zero.
        Ok(loss.iter().zip(&seen).zip(&draws).map(weight).collect())
    }
}

export_weigher!(InfoBatch);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn policy(config: &str) -> InfoBatch {
        configure(config, &Env { total_steps: 100, ..Env::default() }).unwrap()
    }

    fn batch(step: u64) -> Table {
        let mut batch = Table::new(3)
            .with_f32s(column::HISTORY_LOSS, vec![0.1, 5.0, 0.0])
            .with_u64s(column::HISTORY_SEEN, vec![3, 3, 0]);
        batch.step = step;
        batch
    }

    #[test]
    fn the_learnt_are_passed_over_without_a_bias() {
        let mut policy = policy(r#"{"ratio": 0.75}"#);
        let (mut sum, mut nothing) = (0.0, 0);
        for _ in 0..4000 {
            let weights = policy.weigh(&batch(1)).unwrap();
            assert_eq!(weights[1..], [1.0, 1.0], "the unlearnt and the unseen");
            assert!(weights[0] == 0.0 || weights[0] == 4.0);
            sum += weights[0];
            nothing += usize::from(weights[0] == 0.0);
        }
        assert!((sum / 4000.0 - 1.0).abs() < 0.1, "{sum}");
        assert!((2800..3200).contains(&nothing), "{nothing}");
    }

    #[test]
    fn in_the_end_all_count() {
        assert_eq!(policy("{}").weigh(&batch(90)).unwrap(), [1.0; 3]);
        for config in [r#"{"ratio": 1}"#, r#"{"until": 2}"#, r#"{"r": 0.5}"#] {
            assert!(configure::<InfoBatch>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
