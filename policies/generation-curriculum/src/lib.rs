//! Weight by how the image was drawn and how far training is: low-fidelity images (little guidance) early, high-fidelity
//! ones late, or the other way round.
//!
//! `w = exp(−((s − s(t)) / width)²)`, where `s` is the guidance scale and `s(t)` runs from `from` to `to` over training.
//! DM-KD (arXiv 2305.12954, section 4.3) finds that images of low fidelity teach better: a pool of several scales lets a run
//! find out when. With `floor`, no image counts nothing. Free. Needs drawn images, whose guidance is known.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct GenerationCurriculum {
    config: Config,
    total_steps: u64,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The guidance that counts most at the beginning, 0 to 100. Default 1.
    from: f64,
    /// The guidance that counts most at the end, 0 to 100. Default 4.
    to: f64,
    /// How far from it images still count, above 0 to 100. Default 1.
    width: f64,
    /// The least weight, above 0 to 1. Default 0.05.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { from: 1.0, to: 4.0, width: 1.0, floor: 0.05 }
    }
}

impl Policy for GenerationCurriculum {
    const NAME: &str = "generation-curriculum";
    const SUMMARY: &str = "images of one guidance scale count early, those of another late";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("from", config.from, 0.0..=100.0)?;
        within("to", config.to, 0.0..=100.0)?;
        within("width", config.width, 1e-6..=100.0)?;
        within("floor", config.floor, 1e-6..=1.0)?;
        Ok(Self { config, total_steps: env.total_steps.max(1) })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::GUIDANCE.into()]
    }
}

impl Weigher for GenerationCurriculum {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { from, to, width, floor } = self.config;
        let done = (batch.step() as f64 / self.total_steps as f64).min(1.0);
        let middle = from + (to - from) * done;
        let guidance = batch.f32s(column::GUIDANCE)?; // [rows]
        let weight = |guidance: f32| {
            let off = (f64::from(guidance) - middle) / width;
            math::exp(-off * off).max(floor) as f32
        };
        Ok(guidance.into_iter().map(weight).collect())
    }
}

export_weigher!(GenerationCurriculum);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(step: u64) -> Vec<f32> {
        let env = Env { total_steps: 100, ..Env::default() };
        let mut policy: GenerationCurriculum = configure("{}", &env).unwrap();
        let mut batch = Table::new(2).with_f32s(column::GUIDANCE, vec![1.0, 4.0]);
        batch.step = step;
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn low_fidelity_first_then_high() {
        assert_eq!(weights(0), [1.0, 0.05]);
        assert_eq!(weights(100), [0.05, 1.0]);
        let half = weights(50);
        assert!((half[0] - half[1]).abs() < 1e-6, "{half:?}");
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"from": -1}"#, r#"{"width": 0}"#, r#"{"floor": 2}"#, r#"{"start": 1}"#] {
            assert!(configure::<GenerationCurriculum>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
