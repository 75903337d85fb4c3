//! A curriculum over how images were drawn: `w = max(exp(−½ ((x − x(t)) / width)²), floor)` with
//! `x(t) = from + (to − from) · t`; `x` is the guidance scale or the number of sampler steps, `t` the share of training done.
//!
//! Strong guidance gives clear, typical images, weak guidance varied and harder ones (Ho and Salimans, "Classifier-free
//! diffusion guidance", 2022). The defaults go from clear to varied: Bengio, Louradour, Collobert and Weston, "Curriculum
//! learning" (ICML 2009). A pool drawn with one guidance scale is weighted uniformly. Needs one number a row.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct GenerationCurriculum {
    config: Config,
    total_steps: u64,
}

/// What the curriculum goes by.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    #[default]
    Guidance,
    Steps,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `guidance` (default) or `steps`.
    by: By,
    /// The value that counts most in the beginning, 0 to 10000. Default 4.
    from: f64,
    /// The value that counts most in the end, 0 to 10000. Default 1.
    to: f64,
    /// How fast the weight falls away from that value (a standard deviation), 0.01 to 10000. Default 1.5.
    width: f64,
    /// The least weight, 0.000001 to 1. Default 0.05.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { by: By::Guidance, from: 4.0, to: 1.0, width: 1.5, floor: 0.05 }
    }
}

impl Policy for GenerationCurriculum {
    const NAME: &str = "generation-curriculum";
    const SUMMARY: &str = "images drawn with strong guidance count more at first, with weak guidance later";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("from", config.from, 0.0..=1e4)?;
        within("to", config.to, 0.0..=1e4)?;
        within("width", config.width, 0.01..=1e4)?;
        within("floor", config.floor, 1e-6..=1.0)?;
        Ok(Self { config, total_steps: env.total_steps })
    }

    fn needs(&self) -> Vec<String> {
        vec![match self.config.by {
            By::Guidance => column::GUIDANCE.into(),
            By::Steps => column::STEPS.into(),
        }]
    }
}

impl Weigher for GenerationCurriculum {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { by, from, to, width, floor } = self.config;
        let drawn_with: Vec<f64> = match by {
            By::Guidance => batch.f32s(column::GUIDANCE)?.into_iter().map(f64::from).collect(),
            By::Steps => batch.u64s(column::STEPS)?.into_iter().map(|steps| steps as f64).collect(),
        };
        let done = (batch.step() as f64 / self.total_steps.max(1) as f64).min(1.0);
        let center = from + (to - from) * done;
        let weight = |x: f64| {
            let z = (x - center) / width;
            math::exp(-0.5 * z * z).max(floor) as f32
        };
        Ok(drawn_with.into_iter().map(weight).collect())
    }
}

export_weigher!(GenerationCurriculum);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(config: &str, step: u64, guidance: &[f32]) -> Vec<f32> {
        let env = Env { total_steps: 100, ..Env::default() };
        let mut policy: GenerationCurriculum = configure(config, &env).unwrap();
        let mut batch = Table::new(guidance.len())
            .with_f32s(column::GUIDANCE, guidance.to_vec())
            .with_u64s(column::STEPS, vec![50; guidance.len()]);
        batch.step = step;
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn clear_images_lead_at_first_and_varied_ones_in_the_end() {
        let (first, last) = (weights("{}", 0, &[4.0, 1.0]), weights("{}", 100, &[4.0, 1.0]));
        assert!(first[0] > first[1] && first[0] == 1.0, "{first:?}");
        assert!(last[1] > last[0] && last[1] == 1.0, "{last:?}");
    }

    #[test]
    fn one_scale_is_uniform_and_nothing_is_no_trouble() {
        let weights = |step| weights("{}", step, &[2.0, 2.0]);
        assert!(weights(0)[0] == weights(0)[1] && weights(0)[0] > 0.0);
        assert!(super::tests::weights("{}", 0, &[]).is_empty());
        assert_eq!(super::tests::weights(r#"{"from": 9999}"#, 0, &[0.0]), [0.05]);
    }

    #[test]
    fn steps_of_the_sampler_may_lead() {
        assert_eq!(weights(r#"{"by": "steps", "from": 50}"#, 0, &[1.0]), [1.0]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"from": -1}"#, r#"{"width": 0}"#, r#"{"floor": 2}"#, r#"{"by": "seed"}"#, r#"{"until": 2}"#]
        {
            assert!(configure::<GenerationCurriculum>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
