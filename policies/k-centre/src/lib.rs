//! Keep images that lie as far apart as can be in the teacher's features: at each choice
//! `argmax_i min_{j∈S} ‖f_i − f_j‖`.
//!
//! The greedy k-centre core-set of Sener and Savarese, "Active learning for convolutional neural networks" (ICLR 2018,
//! algorithm 1). It seeks the border of the pool, and so also its spoilt images: filter first. The host chooses; n × budget
//! × width multiplications.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, Veto, column, export_selector, groups};

pub struct KCentre {
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

impl Policy for KCentre {
    const NAME: &str = "k-centre";
    const SUMMARY: &str = "keeps images that lie far apart in the teacher's features";
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
        vec!["a kept image is near".into()]
    }
}

impl Selector for KCentre {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let mut keep = Vec::new();
        for (rows, share) in groups(batch, budget, self.config.per_class)? {
            keep.extend(batch.k_centre(column::TEACHER_FEATURES, &rows, share)?);
        }
        keep.sort_unstable();
        let mut kept = vec![false; batch.rows()];
        keep.iter().for_each(|&row| kept[row as usize] = true);
        let dropped = (0..batch.rows() as u32).filter(|&row| !kept[row as usize]);
        Ok(Selection { vetoes: dropped.map(|row| Veto { row, reason: 0 }).collect(), keep })
    }
}

export_selector!(KCentre);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str, features: &[f32], class: &[u64], budget: u32) -> Vec<u32> {
        let mut policy: KCentre = configure(config, &Env { feature_dim: 2, ..Env::default() }).unwrap();
        let batch = Table::new(class.len())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec())
            .with_u64s(column::CLASS, class.to_vec());
        let selection = policy.select(&batch, budget).unwrap();
        assert_eq!(selection.keep.len() + selection.vetoes.len(), class.len());
        selection.keep
    }

    /// Three images close together, one far away.
    const FEATURES: [f32; 8] = [0.0, 0.0, 0.1, 0.0, 0.0, 0.1, 5.0, 5.0];

    #[test]
    fn the_far_image_wins() {
        assert_eq!(kept(r#"{"per-class": false}"#, &FEATURES, &[0; 4], 1), [3]);
        assert!(kept(r#"{"per-class": false}"#, &FEATURES, &[0; 4], 2).contains(&3));
    }

    #[test]
    fn each_class_keeps_its_share() {
        let keep = kept("{}", &FEATURES, &[0, 0, 0, 1], 2);
        assert!(keep.contains(&3) && keep.len() == 2, "{keep:?}");
        assert_eq!(kept("{}", &FEATURES, &[0, 1, 0, 1], 9), [0, 1, 2, 3]);
    }

    #[test]
    fn a_teacher_without_features_and_misspelt_keys_are_refused() {
        assert!(configure::<KCentre>("{}", &Env::default()).is_err());
        let env = Env { feature_dim: 2, ..Env::default() };
        assert!(configure::<KCentre>(r#"{"per_class": true}"#, &env).is_err());
    }
}
