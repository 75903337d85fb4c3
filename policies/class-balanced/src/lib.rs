//! Class-balanced weights: `w = (1 − β) / (1 − β^{n_y})`, with `n_y` the number of images of the class.
//!
//! `(1 − β^n) / (1 − β)` is the effective number of n images: new ones overlap more and more with old ones. Images of rare
//! classes count more; β = 0 is uniform, β → 1 the inverse of the count. Cui, Jia, Lin, Song and Belongie, "Class-balanced
//! loss based on effective number of samples" (CVPR 2019), proposition 1. Counts the images that pass in the first epoch,
//! so that weights settle within it; checkpoints keep the counts. Needs one number a row.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct ClassBalanced {
    config: Config,
    /// Images of each class in the first epoch.
    counts: Vec<u64>,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// β, 0 to 0.999999. Default 0.999.
    beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { beta: 0.999 }
    }
}

impl Policy for ClassBalanced {
    const NAME: &str = "class-balanced";
    const SUMMARY: &str = "images of rare classes count more, by the effective number of their class";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("beta", config.beta, 0.0..=0.999_999)?;
        Ok(Self { config, counts: vec![0; env.classes as usize] })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::CLASS.into()]
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.counts.iter().flat_map(|count| count.to_le_bytes()).collect())
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let (counts, rest) = state.as_chunks::<8>();
        if counts.len() != self.counts.len() || !rest.is_empty() {
            let classes = self.counts.len();
            return Err(format!("the state has {} bytes, expected 8 for each of {classes} classes", state.len()));
        }
        self.counts = counts.iter().map(|&count| u64::from_le_bytes(count)).collect();
        Ok(())
    }
}

impl Weigher for ClassBalanced {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        if batch.epoch() == 0 {
            class.iter().for_each(|&class| self.counts[class as usize] += 1);
        }
        let beta = self.config.beta;
        let weight = |&count: &u64| ((1.0 - beta) / (1.0 - math::pow(beta, count.max(1) as f64))) as f32;
        let weights: Vec<f32> = self.counts.iter().map(weight).collect(); // [C]
        Ok(class.into_iter().map(|class| weights[class as usize]).collect())
    }
}

export_weigher!(ClassBalanced);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn policy(config: &str) -> ClassBalanced {
        configure(config, &Env { classes: 3, ..Env::default() }).unwrap()
    }

    fn weights(policy: &mut ClassBalanced, epoch: u32, class: &[u64]) -> Vec<f32> {
        let mut batch = Table::new(class.len()).with_u64s(column::CLASS, class.to_vec());
        batch.epoch = epoch;
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn the_rare_class_wins() {
        let weights = weights(&mut policy("{}"), 0, &[0, 0, 0, 1]);
        assert!(weights[3] > weights[0], "{weights:?}");
        assert!((weights[3] / weights[0] - 3.0).abs() < 0.01, "nearly the inverse of the count: {weights:?}");
    }

    #[test]
    fn beta_nought_is_uniform() {
        assert_eq!(weights(&mut policy(r#"{"beta": 0}"#), 0, &[0, 0, 1]), [1.0; 3]);
    }

    #[test]
    fn only_the_first_epoch_counts_and_its_counts_survive() {
        let mut policy = policy("{}");
        weights(&mut policy, 0, &[0, 0, 0, 1]);
        let before = weights(&mut policy, 1, &[0, 1]);
        assert_eq!(weights(&mut policy, 1, &[0, 1]), before);
        let mut resumed = self::policy("{}");
        resumed.restore(1, &policy.save().unwrap()).unwrap();
        assert_eq!(weights(&mut resumed, 1, &[0, 1]), before);
        assert!(resumed.restore(1, &[0; 16]).unwrap_err().contains("3 classes"));
    }

    #[test]
    fn one_class_unseen_ones_and_nothing_are_no_trouble() {
        assert_eq!(weights(&mut policy("{}"), 5, &[2, 2]), [1.0, 1.0]);
        assert!(weights(&mut policy("{}"), 0, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"beta": 1}"#, r#"{"gamma": 1}"#] {
            assert!(configure::<ClassBalanced>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
