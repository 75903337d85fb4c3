//! Move guidance and sampler steps from round to round: `s(r) = from + (to − from) · r / (R − 1)`, likewise the steps; every
//! class gets the same number.
//!
//! Strong guidance draws clear, typical images, weak guidance varied and harder ones (Ho and Salimans, "Classifier-free
//! diffusion guidance", 2022); the defaults go from clear to varied, a curriculum after Bengio, Louradour, Collobert and
//! Weston (ICML 2009). A run of one round uses the first value. Needs the number of the round.

use limbeck_policy::{Draw, Env, Planner, Policy, Stats, apportion, export_planner, in_turn, within};

pub struct FidelityCurriculum {
    config: Config,
    classes: usize,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The guidance scale of the first round, 0 to 100. Default 4.
    guidance_from: f64,
    /// The guidance scale of the last round, 0 to 100. Default 1.5.
    guidance_to: f64,
    /// Sampler steps of the first round, 1 to 1000. Default: the recipe's.
    steps_from: Option<u32>,
    /// Sampler steps of the last round, 1 to 1000. Default: the recipe's.
    steps_to: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self { guidance_from: 4.0, guidance_to: 1.5, steps_from: None, steps_to: None }
    }
}

impl Policy for FidelityCurriculum {
    const NAME: &str = "fidelity-curriculum";
    const SUMMARY: &str = "draws clear images in the first rounds and varied ones in the last";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("guidance-from", config.guidance_from, 0.0..=100.0)?;
        within("guidance-to", config.guidance_to, 0.0..=100.0)?;
        within("steps-from", config.steps_from.unwrap_or(1), 1..=1000)?;
        within("steps-to", config.steps_to.unwrap_or(1), 1..=1000)?;
        if env.classes == 0 {
            return Err("there is no class to draw: `[data]` needs at least 1".into());
        }
        Ok(Self { config, classes: env.classes as usize })
    }

    fn needs(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Planner for FidelityCurriculum {
    fn plan(&mut self, images: u32, stats_json: &str) -> Result<Vec<Draw>, String> {
        let stats = Stats::read(stats_json)?;
        let Config { guidance_from, guidance_to, steps_from, steps_to } = self.config;
        let at = |from: f64, to: f64| from + (to - from) * stats.done();
        let guidance = at(guidance_from, guidance_to) as f32;
        let (from, to) = (steps_from.unwrap_or(stats.steps), steps_to.unwrap_or(stats.steps));
        let steps = at(from.into(), to.into()).round() as u32;
        let counts = apportion(&vec![1.0; self.classes], images);
        let draw = |(class, seed)| Draw { class, guidance, steps, seed };
        Ok(in_turn(&counts).into_iter().zip(stats.first_seed..).map(draw).collect())
    }
}

export_planner!(FidelityCurriculum);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::configure;

    fn first(config: &str, round: u32, rounds: u32) -> Draw {
        let mut policy: FidelityCurriculum = configure(config, &Env { classes: 2, ..Env::default() }).unwrap();
        let stats = format!(r#"{{"round": {round}, "rounds": {rounds}, "guidance": 2, "steps": 50, "first-seed": 7}}"#);
        let draws = policy.plan(4, &stats).unwrap();
        assert_eq!(draws.iter().filter(|draw| draw.class == 0).count(), 2);
        draws[0].clone()
    }

    #[test]
    fn clear_images_come_first_and_varied_ones_last() {
        let guidance: Vec<f32> = (0..3).map(|round| first("{}", round, 3).guidance).collect();
        assert_eq!(guidance, [4.0, 2.75, 1.5]);
    }

    #[test]
    fn steps_follow_when_asked_and_stay_the_recipe_s_otherwise() {
        assert_eq!(first("{}", 1, 3).steps, 50);
        let config = r#"{"steps-from": 10, "steps-to": 21}"#;
        assert_eq!((0..3).map(|round| first(config, round, 3).steps).collect::<Vec<_>>(), [10, 16, 21]);
    }

    #[test]
    fn one_round_and_rounds_past_the_end_are_no_trouble() {
        assert_eq!((first("{}", 0, 1).guidance, first("{}", 0, 0).guidance), (4.0, 4.0));
        assert_eq!(first("{}", 9, 3).guidance, 1.5);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, ..Env::default() };
        for config in [r#"{"guidance-from": -1}"#, r#"{"guidance-to": 101}"#, r#"{"steps-to": 0}"#, r#"{"from": 1}"#] {
            assert!(configure::<FidelityCurriculum>(config, &env).is_err(), "{config}");
        }
    }
}
