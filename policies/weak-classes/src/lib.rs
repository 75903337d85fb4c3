//! Draw more of the classes where the student lags the teacher: shares `∝ floor + max(a_T − a_S, 0)^γ`, with the accuracies
//! of teacher and student on the images of the class that were drawn up to now.
//!
//! A class wins when the teacher knows it and the student does not yet. Before the first student all classes get the same.
//! Class-wise error as a guide for what to draw next: Hemmat, Pezeshki, Bordes, Drozdzal and Romero-Soriano,
//! "Feedback-guided data synthesis for imbalanced classification" (2023), here by count instead of by guiding the sampler. Needs the
//! accuracies by class.

use limbeck_policy::{ClassStats, Draw, Env, Planner, Policy, Stats, apportion, export_planner, in_turn, math, within};

pub struct WeakClasses {
    config: Config,
    classes: usize,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// γ, 0 to 10: how strongly the lag counts; 0 is uniform. Default 1.
    gamma: f64,
    /// What a class without a lag counts, 0.001 to 1: nothing is forgotten. Default 0.05.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gamma: 1.0, floor: 0.05 }
    }
}

impl Policy for WeakClasses {
    const NAME: &str = "weak-classes";
    const SUMMARY: &str = "draws more of the classes where the student lags the teacher";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("gamma", config.gamma, 0.0..=10.0)?;
        within("floor", config.floor, 1e-3..=1.0)?;
        if env.classes == 0 {
            return Err("there is no class to draw: `[data]` needs at least 1".into());
        }
        Ok(Self { config, classes: env.classes as usize })
    }

    fn needs(&self) -> Vec<String> {
        Vec::new()
    }
}

impl WeakClasses {
    fn weights(&self, classes: &[ClassStats]) -> Result<Vec<f64>, String> {
        if classes.is_empty() {
            return Ok(vec![1.0; self.classes]);
        }
        if classes.len() != self.classes {
            return Err(format!("figures of {} classes, expected {}", classes.len(), self.classes));
        }
        let weight = |class: &ClassStats| {
            let lag = (class.teacher_accuracy - class.student_accuracy).clamp(0.0, 1.0);
            self.config.floor + math::pow(lag, self.config.gamma)
        };
        Ok(classes.iter().map(weight).collect())
    }
}

impl Planner for WeakClasses {
    fn plan(&mut self, images: u32, stats_json: &str) -> Result<Vec<Draw>, String> {
        let Stats { guidance, steps, first_seed, classes, .. } = Stats::read(stats_json)?;
        let counts = apportion(&self.weights(&classes)?, images);
        let draw = |(class, seed)| Draw { class, guidance, steps, seed };
        Ok(in_turn(&counts).into_iter().zip(first_seed..).map(draw).collect())
    }
}

export_planner!(WeakClasses);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::configure;

    fn counts(config: &str, classes: &[(f64, f64)], images: u32) -> Vec<usize> {
        let mut policy: WeakClasses = configure(config, &Env { classes: 2, ..Env::default() }).unwrap();
        let classes = classes
            .iter()
            .map(|&(teacher, student)| format!(r#"{{"teacher-accuracy": {teacher}, "student-accuracy": {student}}}"#));
        let stats = format!(r#"{{"classes": [{}]}}"#, classes.collect::<Vec<_>>().join(","));
        let draws = policy.plan(images, &stats).unwrap();
        (0..2).map(|class| draws.iter().filter(|draw| draw.class == class).count()).collect()
    }

    #[test]
    fn the_class_with_the_larger_lag_wins() {
        assert_eq!(counts("{}", &[(0.9, 0.9), (0.9, 0.0)], 100), [5, 95]);
        assert_eq!(counts(r#"{"gamma": 0}"#, &[(0.9, 0.9), (0.9, 0.0)], 100), [50, 50]);
    }

    #[test]
    fn a_class_that_the_teacher_does_not_know_either_wins_nothing() {
        assert_eq!(counts("{}", &[(0.1, 0.1), (0.9, 0.9)], 10), [5, 5]);
        assert_eq!(counts("{}", &[(0.1, 0.8), (0.9, 0.9)], 10), [5, 5], "nor one where the student is ahead");
    }

    #[test]
    fn the_first_round_is_uniform_and_no_images_are_no_trouble() {
        assert_eq!(counts("{}", &[], 4), [2, 2]);
        assert_eq!(counts("{}", &[(1.0, 0.0), (1.0, 1.0)], 0), [0, 0]);
    }

    #[test]
    fn wrong_figures_and_configurations_are_refused() {
        let env = Env { classes: 2, ..Env::default() };
        for config in [r#"{"gamma": 11}"#, r#"{"floor": 0}"#, r#"{"power": 1}"#] {
            assert!(configure::<WeakClasses>(config, &env).is_err(), "{config}");
        }
        let mut policy: WeakClasses = configure("{}", &env).unwrap();
        assert!(policy.plan(1, r#"{"classes": [{}]}"#).unwrap_err().contains("1 classes, expected 2"));
    }
}
