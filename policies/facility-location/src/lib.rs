//! Keep images of which every image has a similar one: greedily the largest `Σ_i max_{j∈S} s_ij` with
//! `s_ij = (1 + cos(f_i, f_j)) / 2` in the teacher's features.
//!
//! Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning" (ICML 2015). It keeps the middle of
//! each cluster, the largest cluster first. The host chooses; n² × width multiplications within a class.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, Veto, column, export_selector, groups};

pub struct FacilityLocation {
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

impl Policy for FacilityLocation {
    const NAME: &str = "facility-location";
    const SUMMARY: &str = "keeps images of which every other has a similar one";
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
        vec!["a kept image stands for it".into()]
    }
}

impl Selector for FacilityLocation {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let mut keep = Vec::new();
        for (rows, share) in groups(batch, budget, self.config.per_class)? {
            keep.extend(batch.facility_location(column::TEACHER_FEATURES, &rows, share)?);
        }
        keep.sort_unstable();
        let mut kept = vec![false; batch.rows()];
        keep.iter().for_each(|&row| kept[row as usize] = true);
        let dropped = (0..batch.rows() as u32).filter(|&row| !kept[row as usize]);
        Ok(Selection { vetoes: dropped.map(|row| Veto { row, reason: 0 }).collect(), keep })
    }
}

export_selector!(FacilityLocation);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str, features: &[f32], class: &[u64], budget: u32) -> Vec<u32> {
        let mut policy: FacilityLocation = configure(config, &Env { feature_dim: 2, ..Env::default() }).unwrap();
        let batch = Table::new(class.len())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec())
            .with_u64s(column::CLASS, class.to_vec());
        let selection = policy.select(&batch, budget).unwrap();
        assert_eq!(selection.keep.len() + selection.vetoes.len(), class.len());
        selection.keep
    }

    /// A cluster of three and a pair, in different directions.
    const FEATURES: [f32; 10] = [1.0, 0.0, 1.0, 0.1, 1.0, -0.1, 0.0, 1.0, 0.05, 1.0];

    #[test]
    fn the_middle_of_the_largest_cluster_comes_first_then_the_other_cluster() {
        let keep = |budget| kept(r#"{"per-class": false}"#, &FEATURES, &[0; 5], budget);
        assert_eq!(keep(1), [1]);
        let two = keep(2);
        assert!(two[0] < 3 && two[1] >= 3, "{two:?}");
    }

    #[test]
    fn each_class_keeps_its_share() {
        assert_eq!(kept("{}", &FEATURES, &[0, 0, 0, 1, 1], 2).len(), 2);
    }

    #[test]
    fn a_teacher_without_features_and_misspelt_keys_are_refused() {
        assert!(configure::<FacilityLocation>("{}", &Env::default()).is_err());
        let env = Env { feature_dim: 2, ..Env::default() };
        assert!(configure::<FacilityLocation>(r#"{"per_class": true}"#, &env).is_err());
    }
}
