//! Choose by the distance to the class's prototype: `‖f − μ_y‖₂`, μ_y the mean of the teacher's features `f` of class y.
//!
//! `prefer = "typical"` keeps the nearest, the clean centre of each class; `prefer = "unusual"` the farthest. Sorscher,
//! Geirhos, Shekhar, Ganguli and Morcos, "Beyond neural scaling laws" (NeurIPS 2022), section 5, with one prototype a class in place of
//! k-means: keep the hard ones where images are plentiful, the easy ones where they are scarce. Budgets are shared by the
//! classes in turn, so that a narrow class does not win all. Needs F numbers a row, the whole pool at once, and a teacher
//! that gives features.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, column, export_selector};

pub struct PrototypeDistance {
    config: Config,
    classes: usize,
    features: usize,
}

/// Which end of the scale is kept.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    #[default]
    Typical,
    Unusual,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `typical` (default) or `unusual`.
    prefer: Prefer,
}

impl Policy for PrototypeDistance {
    const NAME: &str = "prototype-distance";
    const SUMMARY: &str = "keeps images near to their class's mean features, or far from it";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        if env.feature_dim == 0 {
            return Err("the teacher gives no features: name a teacher that does, or another policy".into());
        }
        Ok(Self { config, classes: env.classes as usize, features: env.feature_dim as usize })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::CLASS.into(), column::TEACHER_FEATURES.into()]
    }
}

impl PrototypeDistance {
    /// The squared distance of each row to the mean of its class, summed in f64.
    fn distances(&self, class: &[u64], features: &[f32]) -> Vec<f64> {
        let width = self.features;
        let mut means = vec![0.0; self.classes * width]; // [C, F]
        let mut counts = vec![0.0; self.classes];
        for (&class, row) in class.iter().zip(features.chunks_exact(width)) {
            let class = class as usize;
            counts[class] += 1.0;
            means[class * width..][..width].iter_mut().zip(row).for_each(|(sum, &f)| *sum += f64::from(f));
        }
        for (mean, count) in means.chunks_exact_mut(width).zip(&counts) {
            mean.iter_mut().for_each(|sum| *sum /= f64::max(*count, 1.0));
        }
        let distance = |(&class, row): (&u64, &[f32])| {
            let pairs = row.iter().zip(&means[class as usize * width..][..width]);
            pairs.map(|(&f, mean)| (f64::from(f) - mean) * (f64::from(f) - mean)).sum()
        };
        class.iter().zip(features.chunks_exact(width)).map(distance).collect()
    }
}

impl Selector for PrototypeDistance {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        let mut distance = self.distances(&class, &batch.f32s(column::TEACHER_FEATURES)?);
        if let Prefer::Unusual = self.config.prefer {
            distance.iter_mut().for_each(|distance| *distance = -*distance);
        }
        let mut rows: Vec<usize> = (0..class.len()).collect();
        rows.sort_by(|&a, &b| distance[a].total_cmp(&distance[b]).then(a.cmp(&b)));
        // The best of every class come before the second of any.
        let mut places = vec![0_u32; self.classes];
        let mut turns: Vec<(u32, u64, u32)> = Vec::with_capacity(rows.len());
        for row in rows {
            let place = &mut places[class[row] as usize];
            turns.push((*place, class[row], row as u32));
            *place += 1;
        }
        turns.sort_unstable();
        let mut keep: Vec<u32> = turns.into_iter().take(budget as usize).map(|(_, _, row)| row).collect();
        keep.sort_unstable();
        Ok(Selection { keep, vetoes: Vec::new() })
    }
}

export_selector!(PrototypeDistance);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(config: &str, class: &[u64], features: &[f32], budget: u32) -> Vec<u32> {
        let env = Env { classes: 2, feature_dim: 1, total_steps: 0 };
        let mut policy: PrototypeDistance = configure(config, &env).unwrap();
        let batch = Table::new(class.len())
            .with_u64s(column::CLASS, class.to_vec())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec());
        policy.select(&batch, budget).unwrap().keep
    }

    #[test]
    fn the_typical_image_wins_or_the_unusual_one() {
        let (class, features) = ([0, 0, 0, 0], [1.0, 1.1, 0.9, 9.0]); // mean 3
        assert_eq!(kept("{}", &class, &features, 1), [1]);
        assert_eq!(kept(r#"{"prefer": "unusual"}"#, &class, &features, 1), [3]);
    }

    #[test]
    fn classes_take_turns() {
        let (class, features) = ([0, 0, 0, 1, 1, 1], [0.0, 0.1, 0.2, 0.0, 50.0, 99.0]);
        assert_eq!(kept("{}", &class, &features, 2), [1, 4]);
    }

    #[test]
    fn one_class_equals_and_nothing_are_no_trouble() {
        assert_eq!(kept("{}", &[1, 1, 1], &[2.0; 3], 2), [0, 1]);
        assert!(kept("{}", &[], &[], 2).is_empty());
        assert!(kept("{}", &[0], &[1.0], 0).is_empty());
    }

    #[test]
    fn a_teacher_without_features_is_refused() {
        let error = configure::<PrototypeDistance>("{}", &Env { classes: 2, ..Env::default() }).err().unwrap();
        assert!(error.contains("gives no features"), "{error}");
    }
}
