//! Draw the same number of every class, with the recipe's guidance and steps and fresh seeds: what a run without a planner
//! does, and the measure for every other planner.
//!
//! Where the number doesn't divide, lower classes get one more. Needs none of the figures of the rounds before.

use limbeck_policy::{Draw, Env, Planner, Policy, Stats, apportion, export_planner, in_turn};

pub struct UniformDraw {
    classes: usize,
}

/// Nothing to configure.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Policy for UniformDraw {
    const NAME: &str = "uniform-draw";
    const SUMMARY: &str = "draws the same number of every class";
    type Config = Config;

    fn new(_: Config, env: &Env) -> Result<Self, String> {
        if env.classes == 0 {
            return Err("there is no class to draw: `[data]` needs at least 1".into());
        }
        Ok(Self { classes: env.classes as usize })
    }

    fn needs(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Planner for UniformDraw {
    fn plan(&mut self, images: u32, stats_json: &str) -> Result<Vec<Draw>, String> {
        let Stats { guidance, steps, first_seed, .. } = Stats::read(stats_json)?;
        let counts = apportion(&vec![1.0; self.classes], images);
        let draw = |(class, seed)| Draw { class, guidance, steps, seed };
        Ok(in_turn(&counts).into_iter().zip(first_seed..).map(draw).collect())
    }
}

export_planner!(UniformDraw);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::configure;

    fn plan(classes: u32, images: u32) -> Vec<Draw> {
        let mut policy: UniformDraw = configure("{}", &Env { classes, ..Env::default() }).unwrap();
        policy.plan(images, r#"{"guidance": 2.5, "steps": 30, "first-seed": 100}"#).unwrap()
    }

    #[test]
    fn no_class_wins() {
        let draws = plan(3, 8);
        assert_eq!(draws.iter().map(|draw| draw.class).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0, 1]);
        assert_eq!(draws[7], Draw { class: 1, guidance: 2.5, steps: 30, seed: 107 });
    }

    #[test]
    fn one_class_and_no_images_are_no_trouble() {
        assert_eq!(plan(1, 2).len(), 2);
        assert!(plan(10, 0).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, ..Env::default() };
        assert!(configure::<UniformDraw>(r#"{"seed": 1}"#, &env).is_err());
        assert!(configure::<UniformDraw>("{}", &Env::default()).is_err());
    }
}
