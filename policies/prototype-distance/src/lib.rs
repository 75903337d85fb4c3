//! Rank by the distance to the middle of the class in the teacher's features: `‖f − μ_y‖`, where `μ_y` is the mean of the
//! class over the pool; the nearest (`keep = "near"`) or the farthest (`"far"`) of each class are kept.
//!
//! Sorscher, Geirhos, Shekhar, Ganguli and Morcos, "Beyond neural scaling laws" (NeurIPS 2022) rank by the distance to a
//! prototype: with little data the easy, near ones serve better, with plenty the far ones. Each class gets an equal share
//! of the budget. n × width multiplications.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, Veto, column, export_selector, groups};

pub struct PrototypeDistance {
    config: Config,
}

/// Which end of the scale is kept.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    #[default]
    Near,
    Far,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `near` (default) or `far`.
    keep: Keep,
}

impl Policy for PrototypeDistance {
    const NAME: &str = "prototype-distance";
    const SUMMARY: &str = "keeps the images nearest to (or farthest from) the middle of their class";
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
        vec![match self.config.keep {
            Keep::Near => "others are nearer to the middle of its class".into(),
            Keep::Far => "others are farther from the middle of its class".into(),
        }]
    }
}

impl Selector for PrototypeDistance {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let (mut keep, mut vetoes) = (Vec::new(), Vec::new());
        for (mut rows, share) in groups(batch, budget, true)? {
            let features = batch.gather(column::TEACHER_FEATURES, &rows)?; // [rows of the class, width]
            let distances = distances(&features, rows.len());
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.sort_by(|&a, &b| match self.config.keep {
                Keep::Near => distances[a].total_cmp(&distances[b]).then(a.cmp(&b)),
                Keep::Far => distances[b].total_cmp(&distances[a]).then(a.cmp(&b)),
            });
            rows = order.into_iter().map(|place| rows[place]).collect();
            let beyond = rows.split_off(rows.len().min(share as usize));
            keep.extend(rows);
            vetoes.extend(beyond.into_iter().map(|row| Veto { row, reason: 0 }));
        }
        keep.sort_unstable();
        vetoes.sort_unstable_by_key(|veto: &Veto| veto.row);
        Ok(Selection { keep, vetoes })
    }
}

/// The squared distance of each row to the mean of all.
fn distances(features: &[f32], rows: usize) -> Vec<f64> {
    let width = features.len() / rows.max(1);
    let mut mean = vec![0.0_f64; width];
    for row in features.chunks_exact(width.max(1)) {
        mean.iter_mut().zip(row).for_each(|(sum, &f)| *sum += f64::from(f));
    }
    mean.iter_mut().for_each(|sum| *sum /= rows.max(1) as f64);
    let squared = |row: &[f32]| row.iter().zip(&mean).map(|(&f, m)| (f64::from(f) - m) * (f64::from(f) - m)).sum();
    features.chunks_exact(width.max(1)).map(squared).collect()
}

export_selector!(PrototypeDistance);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str) -> Vec<u32> {
        let mut policy: PrototypeDistance = configure(config, &Env { feature_dim: 1, ..Env::default() }).unwrap();
        let batch = Table::new(5)
            .with_f32s(column::TEACHER_FEATURES, vec![0.0, 1.0, 8.0, 3.0, 50.0])
            .with_u64s(column::CLASS, vec![0, 0, 0, 0, 1]);
        policy.select(&batch, 2).unwrap().keep
    }

    #[test]
    fn near_and_far_from_the_class_not_from_the_pool() {
        assert_eq!(kept("{}"), [3, 4]);
        assert_eq!(kept(r#"{"keep": "far"}"#), [2, 4]);
        assert!(configure::<PrototypeDistance>("{}", &Env::default()).is_err());
    }
}
