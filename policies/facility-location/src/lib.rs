//! Facility location: greedily the image that raises `Σ_i max_{j∈S} s_ij` most, `s_ij` the cosine of the teacher's features,
//! negative ones counting 0.
//!
//! An image wins when many images resemble it and nothing kept does yet: representatives of crowds, where k-centre takes
//! outliers. Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning" (ICML 2015); the greedy
//! rule reaches (1 − 1/e) of the best sum (Nemhauser, Wolsey and Fisher 1978), and is run lazily (Minoux 1978): gains only
//! fall, so that most need not be computed again. With `per-class` (default) each class is covered for itself, and classes
//! take turns. Needs F numbers a row, the whole pool at once, and a teacher that gives features; the host chooses, which
//! costs at least images² × F multiplications, divided by C when classes are apart.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, column, export_selector, share};

pub struct FacilityLocation {
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

impl Policy for FacilityLocation {
    const NAME: &str = "facility-location";
    const SUMMARY: &str = "keeps images that together resemble the whole pool most";
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

impl Selector for FacilityLocation {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        let mut keep = Vec::new();
        for (rows, quota) in share(&class, self.config.per_class, budget) {
            keep.extend(batch.facility_location(column::TEACHER_FEATURES, &rows, quota as u32)?);
        }
        keep.sort_unstable();
        Ok(Selection { keep, vetoes: Vec::new() })
    }
}

export_selector!(FacilityLocation);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str, class: &[u64], features: &[f32], budget: u32) -> Vec<u32> {
        let env = Env { classes: 2, feature_dim: 2, total_steps: 0 };
        let mut policy: FacilityLocation = configure(config, &env).unwrap();
        let batch = Table::new(class.len())
            .with_u64s(column::CLASS, class.to_vec())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec());
        policy.select(&batch, budget).unwrap().keep
    }

    const CROWD: [f32; 8] = [-2.0, 0.0, 1.0, 0.1, 3.0, 0.0, 1.0, -0.1];

    #[test]
    fn the_middle_of_a_crowd_wins_then_the_rest_of_the_world() {
        assert_eq!(kept("{}", &[0; 4], &CROWD, 1), [2]);
        assert_eq!(kept("{}", &[0; 4], &CROWD, 2), [0, 2]);
    }

    #[test]
    fn classes_take_turns_unless_all_are_one() {
        let class = [1, 0, 0, 0];
        assert_eq!(kept("{}", &class, &CROWD, 2), [0, 2]);
        assert_eq!(kept(r#"{"per-class": false}"#, &class, &CROWD, 1), [2]);
    }

    #[test]
    fn equals_zeros_and_nothing_are_no_trouble() {
        assert_eq!(kept("{}", &[1; 3], &[1.0; 6], 2), [0, 1]);
        assert_eq!(kept("{}", &[0; 2], &[0.0; 4], 1), [0]);
        assert!(kept("{}", &[], &[], 4).is_empty());
        assert_eq!(kept("{}", &[0, 1], &[1.0; 4], 9), [0, 1]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, feature_dim: 2, total_steps: 0 };
        assert!(configure::<FacilityLocation>(r#"{"metric": 3}"#, &env).is_err());
        assert!(configure::<FacilityLocation>("{}", &Env::default()).is_err());
    }
}
