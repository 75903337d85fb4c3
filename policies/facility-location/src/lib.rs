//! Facility location: greedily the image that raises `Σ_i max_{j∈S} s_ij` most, `s_ij` the cosine of the teacher's features,
//! negative ones counting 0.
//!
//! An image wins when many images resemble it and nothing kept does yet: representatives of crowds, where k-centre takes
//! outliers. Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning" (ICML 2015); the greedy
//! rule reaches (1 − 1/e) of the best sum (Nemhauser, Wolsey and Fisher 1978), and is run lazily (Minoux 1978): gains only
//! fall, so that most need not be computed again. With `per-class` (default) each class is covered for itself, and classes
//! take turns. Needs F numbers a row, the whole pool at once, and a teacher that gives features; costs at least
//! images² × F steps, divided by C when classes are apart.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, column, export_selector, share};

pub struct FacilityLocation {
    config: Config,
    features: usize,
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
        Ok(Self { config, features: env.feature_dim as usize })
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
            let mut features = batch.gather(column::TEACHER_FEATURES, &rows)?; // [rows of the group, F]
            features.chunks_exact_mut(self.features).for_each(normalize);
            keep.extend(facilities(&features, self.features, quota).into_iter().map(|place| rows[place]));
        }
        keep.sort_unstable();
        Ok(Selection { keep, vetoes: Vec::new() })
    }
}

/// What an image would add, when it was last computed; the larger gain first, of equals the first image.
#[derive(PartialEq)]
struct Gain {
    gain: f64,
    place: usize,
    /// How many were chosen when it was computed.
    at: usize,
}

impl Eq for Gain {}

impl Ord for Gain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Gain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The first `quota` places by the lazy greedy rule, of features of length 1.
fn facilities(features: &[f32], width: usize, quota: usize) -> Vec<usize> {
    let rows: Vec<&[f32]> = features.chunks_exact(width).collect();
    let mut covered = vec![0.0_f64; rows.len()]; // max_{j∈S} s_ij
    let gain = |place: usize, covered: &[f64]| -> f64 {
        rows.iter().zip(covered).map(|(row, covered)| (similarity(row, rows[place]) - covered).max(0.0)).sum()
    };
    let mut gains: BinaryHeap<Gain> =
        (0..rows.len()).map(|place| Gain { gain: gain(place, &covered), place, at: 0 }).collect();
    let mut chosen = Vec::with_capacity(quota);
    while chosen.len() < quota {
        let Some(best) = gains.pop() else { break };
        if best.at < chosen.len() {
            gains.push(Gain { gain: gain(best.place, &covered), at: chosen.len(), ..best });
            continue;
        }
        for (row, covered) in rows.iter().zip(&mut covered) {
            *covered = covered.max(similarity(row, rows[best.place]));
        }
        chosen.push(best.place);
    }
    chosen
}

fn similarity(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>().max(0.0)
}

/// To length 1; zero stays zero.
fn normalize(row: &mut [f32]) {
    let length = row.iter().map(|&f| f64::from(f) * f64::from(f)).sum::<f64>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|f| *f = (f64::from(*f) / length) as f32);
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
