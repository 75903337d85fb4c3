//! Keep the images whose mean stays nearest to the mean of all, in the teacher's features: at each choice
//! `argmin_f ‖(t+1) μ − Σ_S f_s − f‖`.
//!
//! Herding of Welling (ICML 2009), as Rebuffi, Kolesnikov, Sperl and Lampert use it in "iCaRL" (CVPR 2017, algorithm 4);
//! mind that the distance is made *small* (a known published error takes the largest). The host chooses; n × budget × width
//! multiplications.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, Veto, column, export_selector, groups};

pub struct Herding {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Choose within each class, an equal share of the budget for each. Default true: a class that looks plain is not lost.
    per_class: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_class: true }
    }
}

impl Policy for Herding {
    const NAME: &str = "herding";
    const SUMMARY: &str = "keeps images whose mean is that of all, in the teacher's features";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        if env.feature_dim == 0 {
            return Err("the teacher gives no features, which this policy compares: take another teacher".into());
        }
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::TEACHER_FEATURES.into(), column::CLASS.into()]
    }

    fn reasons(&self) -> Vec<String> {
        vec!["others keep the mean better".into()]
    }
}

impl Selector for Herding {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let mut keep = Vec::new();
        for (rows, share) in groups(batch, budget, self.config.per_class)? {
            keep.extend(batch.herding(column::TEACHER_FEATURES, &rows, share)?);
        }
        keep.sort_unstable();
        let mut kept = vec![false; batch.rows()];
        keep.iter().for_each(|&row| kept[row as usize] = true);
        let dropped = (0..batch.rows() as u32).filter(|&row| !kept[row as usize]);
        Ok(Selection { vetoes: dropped.map(|row| Veto { row, reason: 0 }).collect(), keep })
    }
}

export_selector!(Herding);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str, features: &[f32], class: &[u64], budget: u32) -> Vec<u32> {
        let mut policy: Herding = configure(config, &Env { feature_dim: 2, ..Env::default() }).unwrap();
        let batch = Table::new(class.len())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec())
            .with_u64s(column::CLASS, class.to_vec());
        let selection = policy.select(&batch, budget).unwrap();
        assert_eq!(selection.keep.len() + selection.vetoes.len(), class.len());
        selection.keep
    }

    /// Three images around the mean and an outlier.
    const FEATURES: [f32; 8] = [1.0, 0.0, -1.0, 0.2, 0.0, 0.0, 9.0, 9.0];

    #[test]
    fn the_mean_is_kept_and_not_the_outlier() {
        let near = [0.0, 0.0, 4.0, 0.0, 0.1, 0.0, -4.0, 0.0];
        assert_eq!(kept(r#"{"per-class": false}"#, &near, &[0; 4], 1), [0]);
        assert!(!kept(r#"{"per-class": false}"#, &FEATURES, &[0; 4], 1).contains(&3));
    }

    #[test]
    fn each_class_keeps_its_share() {
        assert_eq!(kept("{}", &FEATURES, &[0, 0, 1, 1], 2).len(), 2);
        assert!(kept("{}", &FEATURES, &[0, 0, 0, 1], 2).contains(&3));
    }

    #[test]
    fn a_teacher_without_features_and_misspelt_keys_are_refused() {
        assert!(configure::<Herding>("{}", &Env::default()).is_err());
        let env = Env { feature_dim: 2, ..Env::default() };
        assert!(configure::<Herding>(r#"{"per_class": true}"#, &env).is_err());
    }
}
