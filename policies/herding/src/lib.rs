//! Herding: greedily the images whose mean feature follows the mean of all, `argmin_i ‖(t+1) μ − Σ_{j∈S} f_j − f_i‖`, over
//! the teacher's features.
//!
//! An image wins when it brings the mean of what is kept *nearest* to the mean of the pool. Welling, "Herding dynamical
//! weights to learn" (ICML 2009), as in Rebuffi, Kolesnikov, Sperl and Lampert, "iCaRL" (CVPR 2017), algorithm 4. With
//! `per-class` (default) each class is herded to its own mean, and classes take turns. Needs F numbers a row, the whole pool
//! at once, and a teacher that gives features; the host chooses, which costs budget × images × F
//! multiplications, divided by C when classes are apart.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, column, export_selector, share};

pub struct Herding {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Each class for itself. Default true.
    per_class: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_class: true }
    }
}

impl Policy for Herding {
    const NAME: &str = "herding";
    const SUMMARY: &str = "keeps images whose mean features are those of the pool";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        if env.feature_dim == 0 {
            return Err("the teacher gives no features: name a teacher that does, or another policy".into());
        }
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::CLASS.into(), column::TEACHER_FEATURES.into()]
    }
}

impl Selector for Herding {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        let mut keep = Vec::new();
        for (rows, quota) in share(&class, self.config.per_class, budget) {
            keep.extend(batch.herding(column::TEACHER_FEATURES, &rows, quota as u32)?);
        }
        keep.sort_unstable();
        Ok(Selection { keep, vetoes: Vec::new() })
    }
}

export_selector!(Herding);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str, class: &[u64], features: &[f32], budget: u32) -> Vec<u32> {
        let mut policy: Herding = configure(config, &Env { classes: 2, feature_dim: 1, total_steps: 0 }).unwrap();
        let batch = Table::new(class.len())
            .with_u64s(column::CLASS, class.to_vec())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec());
        policy.select(&batch, budget).unwrap().keep
    }

    #[test]
    fn the_image_at_the_mean_wins_not_the_one_far_from_it() {
        assert_eq!(kept("{}", &[0; 5], &[-4.0, -1.0, 0.0, 1.0, 4.0], 1), [2]);
    }

    #[test]
    fn the_next_ones_make_up_for_the_first() {
        // Mean 0: after 1 the sum wants −1.
        assert_eq!(kept("{}", &[0; 4], &[1.0, -1.0, 9.0, -9.0], 2), [0, 1]);
    }

    #[test]
    fn each_class_has_its_mean_unless_all_are_one() {
        let (class, features) = ([0, 0, 0, 1, 1, 1], [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert_eq!(kept("{}", &class, &features, 2), [1, 4]);
        assert_eq!(kept(r#"{"per-class": false}"#, &class, &features, 1), [2]);
    }

    #[test]
    fn equals_nothing_and_large_budgets_are_no_trouble() {
        assert_eq!(kept("{}", &[1; 3], &[5.0; 3], 2), [0, 1]);
        assert!(kept("{}", &[], &[], 4).is_empty());
        assert_eq!(kept("{}", &[0, 1], &[1.0, 2.0], 9), [0, 1]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, feature_dim: 1, total_steps: 0 };
        assert!(configure::<Herding>(r#"{"perclass": true}"#, &env).is_err());
        assert!(configure::<Herding>("{}", &Env::default()).is_err());
    }
}
