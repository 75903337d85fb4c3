//! Weight by the teacher's confidence in the intended class: `w = max(p_y, floor)^γ`.
//!
//! Images that the teacher agrees with count more, doubtful ones less but never nothing. γ = 0 is uniform weighting, γ = 1
//! the plain probability. (Common practice in learning from noisy labels; no paper of its own.)

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct Confidence {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// γ ≥ 0: how strongly confidence counts. Default 1.
    gamma: f64,
    /// The least probability that counts, above 0 to 1: keeps every weight above zero. Default 0.001.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gamma: 1.0, floor: 1e-3 }
    }
}

impl Policy for Confidence {
    const NAME: &str = "confidence";
    const SUMMARY: &str = "images that the teacher is sure of count more";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("gamma", config.gamma, 0.0..=100.0)?;
        within("floor", config.floor, 1e-6..=1.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::TEACHER_P_CLASS.into()]
    }
}

impl Weigher for Confidence {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { gamma, floor } = self.config;
        let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
        Ok(p.into_iter().map(|p| math::pow(f64::from(p).max(floor), gamma).max(1e-30) as f32).collect())
    }
}

export_weigher!(Confidence);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(config: &str, p: &[f32]) -> Vec<f32> {
        let mut policy: Confidence = configure(config, &Env::default()).unwrap();
        policy.weigh(&Table::new(p.len()).with_f32s(column::TEACHER_P_CLASS, p.to_vec())).unwrap()
    }

    #[test]
    fn the_surer_the_heavier() {
        let weights = weights("{}", &[0.9, 0.5, 0.0]);
        assert!(weights[0] > weights[1] && weights[1] > weights[2] && weights[2] > 0.0, "{weights:?}");
    }

    #[test]
    fn gamma_sets_how_much() {
        assert_eq!(weights(r#"{"gamma": 0}"#, &[0.9, 0.1]), [1.0, 1.0]);
        assert_eq!(weights(r#"{"gamma": 2}"#, &[0.5, 1.0]), [0.25, 1.0]);
        assert!(weights(r#"{"gamma": 100}"#, &[0.0, 0.0]).iter().all(|&weight| weight > 0.0));
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"gamma": -1}"#, r#"{"floor": 0}"#, r#"{"gama": 1}"#, r#"{"gamma": "x"}"#] {
            assert!(configure::<Confidence>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
