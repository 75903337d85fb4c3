//! Weight by how far the student still is from the teacher: `w = max(1 − e^{−KL(p‖q)}, floor)^γ`.
//!
//! What the student has learnt counts little, what it gets wrong counts most. This is the focal loss of Lin, Goyal,
//! Girshick, He and Dollár (ICCV 2017), `(1 − q_y)^γ`, with KL in the place of the cross-entropy `−ln q_y`.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct FocalKd {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// γ, 0 to 10: how strongly the distance counts; 0 is uniform weighting. Default 2, as for the focal loss.
    gamma: f64,
    /// The least distance that counts, above 0 to 1: what is learnt is not forgotten. Default 0.05.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gamma: 2.0, floor: 0.05 }
    }
}

impl Policy for FocalKd {
    const NAME: &str = "focal-kd";
    const SUMMARY: &str = "images on which the student differs from the teacher count more";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("gamma", config.gamma, 0.0..=10.0)?;
        within("floor", config.floor, 1e-3..=1.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::KL.into()]
    }
}

impl Weigher for FocalKd {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { gamma, floor } = self.config;
        let kl = batch.f32s(column::KL)?; // [rows], nats
        let weight = |kl: f32| math::pow((1.0 - math::exp(-f64::from(kl))).max(floor), gamma) as f32;
        Ok(kl.into_iter().map(weight).collect())
    }
}

export_weigher!(FocalKd);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(config: &str, kl: &[f32]) -> Vec<f32> {
        let mut policy: FocalKd = configure(config, &Env::default()).unwrap();
        policy.weigh(&Table::new(kl.len()).with_f32s(column::KL, kl.to_vec())).unwrap()
    }

    #[test]
    fn the_farther_the_heavier() {
        let weights = weights("{}", &[0.0, 0.5, 3.0]);
        assert!(weights[0] < weights[1] && weights[1] < weights[2], "{weights:?}");
        assert!(weights[0] > 0.0 && weights[2] <= 1.0, "{weights:?}");
    }

    #[test]
    fn gamma_nought_is_uniform() {
        assert_eq!(weights(r#"{"gamma": 0}"#, &[0.0, 9.0]), [1.0, 1.0]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"gamma": 11}"#, r#"{"floor": 0}"#, r#"{"power": 1}"#] {
            assert!(configure::<FocalKd>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
