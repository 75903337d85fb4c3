//! Focal weights: `w = max(1 − q_y, floor)^γ`.
//!
//! An image counts the more, the less probable its intended class is to the student; what it knows counts little. Lin,
//! Goyal, Girshick, He and Dollár, "Focal loss for dense object detection" (ICCV 2017), equation 4, the modulating factor.
//! Needs one number a row. `focal-kd` measures the distance to the teacher instead.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct Focal {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// γ, 0 to 10: 0 is uniform weighting. Default 2, as in the paper.
    gamma: f64,
    /// The least `1 − q_y` that counts, 0.001 to 1. Default 0.01.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gamma: 2.0, floor: 1e-2 }
    }
}

impl Policy for Focal {
    const NAME: &str = "focal";
    const SUMMARY: &str = "images whose class the student finds improbable count more";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("gamma", config.gamma, 0.0..=10.0)?;
        within("floor", config.floor, 1e-3..=1.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::STUDENT_P_CLASS.into()]
    }
}

impl Weigher for Focal {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { gamma, floor } = self.config;
        let q = batch.f32s(column::STUDENT_P_CLASS)?; // [rows]
        Ok(q.into_iter().map(|q| math::pow((1.0 - f64::from(q)).max(floor), gamma) as f32).collect())
    }
}

export_weigher!(Focal);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(config: &str, q: &[f32]) -> Vec<f32> {
        let mut policy: Focal = configure(config, &Env::default()).unwrap();
        policy.weigh(&Table::new(q.len()).with_f32s(column::STUDENT_P_CLASS, q.to_vec())).unwrap()
    }

    #[test]
    fn the_less_probable_the_heavier() {
        let weights = weights("{}", &[0.9, 0.5, 0.0]);
        assert!(weights[2] > weights[1] && weights[1] > weights[0], "{weights:?}");
        assert_eq!(weights[1..], [0.25, 1.0]);
    }

    #[test]
    fn gamma_nought_is_uniform() {
        assert_eq!(weights(r#"{"gamma": 0}"#, &[0.0, 1.0]), [1.0, 1.0]);
    }

    #[test]
    fn what_is_learnt_still_counts() {
        assert!(weights(r#"{"gamma": 10, "floor": 0.001}"#, &[1.0, 1.0]).iter().all(|&weight| weight > 0.0));
        assert!(weights("{}", &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"gamma": 11}"#, r#"{"floor": 0}"#, r#"{"alpha": 1}"#] {
            assert!(configure::<Focal>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
