//! Weight 1 for the share of the batch with the smallest loss, 0 for the rest: large losses may be spoilt images.
//!
//! The small-loss trick of Han, Yao, Yu, Niu, Xu, Hu, Tsang and Sugiyama, "Co-teaching" (NeurIPS 2018, algorithm 1, with
//! one network): the kept share falls from all to `keep` over the first `epochs` epochs, `R(t) = 1 − (1 − keep) · min(t /
//! epochs, 1)`. Costs C exponentials an image, on the host.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, within};

pub struct SmallLoss {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The share that counts in the end, above 0 to 1. Default 0.8.
    keep: f64,
    /// Epochs over which the share falls, 0 to 100000. Default 10.
    epochs: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { keep: 0.8, epochs: 10.0 }
    }
}

impl Policy for SmallLoss {
    const NAME: &str = "small-loss";
    const SUMMARY: &str = "only the images of the smallest losses count";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("keep", config.keep, 1e-6..=1.0)?;
        within("epochs", config.epochs, 0.0..=100_000.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::STUDENT_LOSS.into()]
    }
}

impl Weigher for SmallLoss {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { keep, epochs } = self.config;
        let done = if epochs > 0.0 { (f64::from(batch.epoch()) / epochs).min(1.0) } else { 1.0 };
        let loss = batch.f32s(column::STUDENT_LOSS)?; // [rows], nats
        let share = 1.0 - (1.0 - keep) * done;
        let count = ((share * loss.len() as f64).round() as usize).max(1);
        let mut order: Vec<usize> = (0..loss.len()).collect();
        order.sort_by(|&a, &b| loss[a].total_cmp(&loss[b]).then(a.cmp(&b)));
        let mut weights = vec![0.0; loss.len()];
        order.into_iter().take(count).for_each(|row| weights[row] = 1.0);
        Ok(weights)
    }
}

export_weigher!(SmallLoss);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(config: &str, epoch: u32) -> Vec<f32> {
        let mut policy: SmallLoss = configure(config, &Env::default()).unwrap();
        let mut batch = Table::new(4).with_f32s(column::STUDENT_LOSS, vec![9.0, 0.1, 2.0, 0.5]);
        batch.epoch = epoch;
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn the_largest_losses_go_as_the_epochs_pass() {
        let config = r#"{"keep": 0.5, "epochs": 2}"#;
        assert_eq!(weights(config, 0), [1.0; 4]);
        assert_eq!(weights(config, 1), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(weights(config, 7), [0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn one_image_always_counts() {
        assert_eq!(weights(r#"{"keep": 0.001, "epochs": 0}"#, 0), [0.0, 1.0, 0.0, 0.0]);
        for config in [r#"{"keep": 0}"#, r#"{"epochs": -1}"#, r#"{"share": 1}"#] {
            assert!(configure::<SmallLoss>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
