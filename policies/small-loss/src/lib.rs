//! Small-loss selection: of each batch the share `R(e) = 1 − drop · min(e / warm-up, 1)` of the lowest losses counts 1, the
//! rest 0; `e` is the epoch.
//!
//! Networks learn clean images before spoilt ones, so that what is still hard after a few epochs is rather wrong than
//! instructive. Han, Yao, Yu, Niu, Xu, Hu, Tsang and Sugiyama, "Co-teaching" (NeurIPS 2018), algorithm 1 with one network.
//! Needs one number a row; sorts each batch.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, within};

pub struct SmallLoss {
    config: Config,
}

/// Which loss is small.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    #[default]
    Class,
    Kl,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `class` (default): −ln q_y, high where the image is not what it was drawn for; `kl`: KL(p‖q).
    loss: Loss,
    /// The share of a batch that is left out in the end, 0 to 0.99: about the share of spoilt images. Default 0.2.
    drop: f64,
    /// Epochs until that share is reached, 1 to 1000. Default 5.
    warm_up: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { loss: Loss::Class, drop: 0.2, warm_up: 5 }
    }
}

impl Policy for SmallLoss {
    const NAME: &str = "small-loss";
    const SUMMARY: &str = "the images of highest loss in a batch don't count, more of them with each epoch";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("drop", config.drop, 0.0..=0.99)?;
        within("warm-up", config.warm_up, 1..=1000)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![self.loss().into()]
    }
}

impl SmallLoss {
    fn loss(&self) -> &'static str {
        match self.config.loss {
            Loss::Class => column::STUDENT_LOSS,
            Loss::Kl => column::KL,
        }
    }
}

impl Weigher for SmallLoss {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let losses = batch.f32s(self.loss())?; // [rows], nats
        let warm = (f64::from(batch.epoch()) / f64::from(self.config.warm_up)).min(1.0);
        let count = ((1.0 - self.config.drop * warm) * losses.len() as f64).ceil() as usize;
        let mut rows: Vec<usize> = (0..losses.len()).collect();
        rows.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]).then(a.cmp(&b)));
        let mut weights = vec![0.0; losses.len()];
        rows[..count.min(rows.len())].iter().for_each(|&row| weights[row] = 1.0);
        Ok(weights)
    }
}

export_weigher!(SmallLoss);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(epoch: u32, losses: &[f32]) -> Vec<f32> {
        let mut policy: SmallLoss = configure(r#"{"drop": 0.5, "warm-up": 2}"#, &Env::default()).unwrap();
        let mut batch = Table::new(losses.len()).with_f32s(column::STUDENT_LOSS, losses.to_vec());
        batch.epoch = epoch;
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn the_highest_losses_drop_out_epoch_by_epoch() {
        let losses = [0.1, 4.0, 0.2, 3.0];
        assert_eq!(weights(0, &losses), [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(weights(1, &losses), [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(weights(2, &losses), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(weights(9, &losses), [1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn equals_one_and_nothing_are_no_trouble() {
        assert_eq!(weights(2, &[1.0; 4]), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(weights(2, &[7.0]), [1.0]);
        assert!(weights(2, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"drop": 1}"#, r#"{"warm-up": 0}"#, r#"{"warmup": 1}"#] {
            assert!(configure::<SmallLoss>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
