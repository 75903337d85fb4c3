//! k-centre: greedily the image farthest from all that are kept, `argmax_i min_{j∈S} ‖f_i − f_j‖₂`, over the teacher's
//! features; the first is the one nearest to the mean.
//!
//! An image wins when nothing like it is kept yet, so that what is kept covers the pool. Sener and Savarese, "Active
//! learning for convolutional neural networks: a core-set approach" (ICLR 2018), algorithm 1; the greedy rule is within
//! twice the best radius (Gonzalez 1985). With `per-class` (default) each class is covered for itself, and classes take turns. Needs F
//! numbers a row, the whole pool at once, and a teacher that gives features; the host chooses, which costs budget × images × F
//! multiplications, divided by C
//! when classes are apart.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, column, export_selector, share};

pub struct KCentre {
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

impl Policy for KCentre {
    const NAME: &str = "k-centre";
    const SUMMARY: &str = "keeps images that cover the pool: each the farthest from those before";
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

impl Selector for KCentre {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        let mut keep = Vec::new();
        for (rows, quota) in share(&class, self.config.per_class, budget) {
            keep.extend(batch.k_centre(column::TEACHER_FEATURES, &rows, quota as u32)?);
        }
        keep.sort_unstable();
        Ok(Selection { keep, vetoes: Vec::new() })
    }
}

export_selector!(KCentre);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str, class: &[u64], features: &[f32], budget: u32) -> Vec<u32> {
        let mut policy: KCentre = configure(config, &Env { classes: 2, feature_dim: 1, total_steps: 0 }).unwrap();
        let batch = Table::new(class.len())
            .with_u64s(column::CLASS, class.to_vec())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec());
        policy.select(&batch, budget).unwrap().keep
    }

    #[test]
    fn a_lonely_image_wins_over_one_in_a_crowd() {
        let features = [0.0, 0.1, 0.2, 0.1, 9.0]; // mean 1.88
        assert_eq!(kept("{}", &[0; 5], &features, 2), [2, 4]);
        assert_eq!(kept("{}", &[0; 5], &features, 3), [0, 2, 4]);
    }

    #[test]
    fn each_class_is_covered_unless_all_are_one() {
        let (class, features) = ([0, 0, 0, 1, 1, 1], [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert_eq!(kept("{}", &class, &features, 2), [1, 4]);
        assert_eq!(kept(r#"{"per-class": false}"#, &class, &features, 2), [2, 5]);
    }

    #[test]
    fn equals_nothing_and_large_budgets_are_no_trouble() {
        assert_eq!(kept("{}", &[1; 3], &[5.0; 3], 2), [0, 1]);
        assert!(kept("{}", &[], &[], 4).is_empty());
        assert!(kept("{}", &[0], &[1.0], 0).is_empty());
        assert_eq!(kept("{}", &[0, 1], &[1.0, 2.0], 9), [0, 1]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, feature_dim: 1, total_steps: 0 };
        assert!(configure::<KCentre>(r#"{"k": 3}"#, &env).is_err());
        assert!(configure::<KCentre>("{}", &Env::default()).is_err());
    }
}
