//! Weight by the inverse of the effective number of images of the class: `w = (1 − β) / (1 − β^n)` for a class of `n`.
//!
//! Cui, Jia, Lin, Song and Belongie, "Class-balanced loss based on effective number of samples" (CVPR 2019, eq. 2 and 3):
//! β = 0 weighs all images the same, β → 1 weighs classes the same. For what a filter leaves uneven. Free.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct ClassBalanced {
    config: Config,
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
    const SUMMARY: &str = "images of rare classes count more";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("beta", config.beta, 0.0..=0.999_999)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::CLASS_COUNT.into()]
    }
}

impl Weigher for ClassBalanced {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let beta = self.config.beta;
        let count = batch.u64s(column::CLASS_COUNT)?; // [rows]
        let weight = |count: u64| ((1.0 - beta) / (1.0 - math::pow(beta, count.max(1) as f64))) as f32;
        Ok(count.into_iter().map(weight).collect())
    }
}

export_weigher!(ClassBalanced);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(config: &str) -> Vec<f32> {
        let mut policy: ClassBalanced = configure(config, &Env::default()).unwrap();
        policy.weigh(&Table::new(3).with_u64s(column::CLASS_COUNT, vec![1, 10, 1000])).unwrap()
    }

    #[test]
    fn rare_classes_weigh_more() {
        let weights = weights("{}");
        assert!(weights[0] > weights[1] && weights[1] > weights[2] && weights[2] > 0.0, "{weights:?}");
        assert!((weights[0] / weights[1] - 10.0).abs() < 0.1, "nearly the inverse of the count: {weights:?}");
    }

    #[test]
    fn beta_nought_is_uniform() {
        assert_eq!(weights(r#"{"beta": 0}"#), [1.0; 3]);
        for config in [r#"{"beta": 1}"#, r#"{"beat": 0.9}"#] {
            assert!(configure::<ClassBalanced>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
