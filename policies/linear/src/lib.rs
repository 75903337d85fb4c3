//! A weighted sum of columns that the recipe names: `s = bias + Σ w_k x_k`, as the score of an image or, not below 0, as its
//! weight in a training step.
//!
//! For trying out a combination before writing a policy of its own, and for joining a filter with a preference. Plays two
//! roles: a scorer under `[select]`, a weigher under `[distill.weigher]`. (A linear score over features of a sample is how
//! learnt weighting begins as well: Ren, Zeng, Yang and Urtasun, "Learning to reweight examples for robust deep learning",
//! ICML 2018, learns one weight an image.)

use std::collections::BTreeMap;

use limbeck_policy::{Batch, Env, Kind, Policy, Scorer, Scores, Weigher, export_policy};

pub struct Linear {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The weight of each column by its name, finite numbers, such as `{ "teacher.margin" = -1.0 }`; at least one. Columns
    /// of one number a row only. Required.
    columns: BTreeMap<String, f64>,
    /// Added to the sum, finite. Default 0.
    #[serde(default)]
    bias: f64,
}

impl Policy for Linear {
    const NAME: &str = "linear";
    const SUMMARY: &str = "a weighted sum of columns, as score or weight";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        if config.columns.is_empty() {
            return Err("`columns` is empty: name at least one column with its weight".into());
        }
        match config.columns.iter().find(|(_, weight)| !weight.is_finite()) {
            Some((name, weight)) => Err(format!("the weight of `{name}` is {weight}, expected a finite number")),
            None if !config.bias.is_finite() => Err(format!("`bias` is {}, expected a finite number", config.bias)),
            None => Ok(Self { config }),
        }
    }

    fn needs(&self) -> Vec<String> {
        self.config.columns.keys().cloned().collect()
    }
}

impl Linear {
    /// In f64, columns in the order of their names. [rows]
    fn sums(&self, batch: &dyn Batch) -> Result<Vec<f64>, String> {
        let mut sums = vec![self.config.bias; batch.rows()];
        for column in batch.columns() {
            let Some(weight) = self.config.columns.get(&column.name) else { continue };
            if column.width != 1 {
                return Err(format!("column `{}` has {} numbers a row, a sum takes one", column.name, column.width));
            }
            match column.kind {
                Kind::F32 => add(&mut sums, *weight, batch.f32s(&column.name)?.into_iter().map(f64::from)),
                Kind::U64 => add(&mut sums, *weight, batch.u64s(&column.name)?.into_iter().map(|value| value as f64)),
            }
        }
        Ok(sums)
    }
}

fn add(sums: &mut [f64], weight: f64, values: impl Iterator<Item = f64>) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
}

/// The nearest finite f32: a sum past the end of its range is still the largest.
fn finite(sum: f64) -> f32 {
    sum.clamp(f32::MIN.into(), f32::MAX.into()) as f32
}

impl Scorer for Linear {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let values = self.sums(batch)?.into_iter().map(finite).collect();
        Ok(Scores { values, vetoes: Vec::new() })
    }
}

impl Weigher for Linear {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let weights: Vec<f32> = self.sums(batch)?.into_iter().map(|sum| finite(sum.max(0.0))).collect();
        // A step in which nothing counts teaches nothing: there all count the same.
        let none = weights.iter().all(|&weight| weight == 0.0);
        Ok(if none { vec![1.0; weights.len()] } else { weights })
    }
}

export_policy!(Linear: scorer, weigher);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, column, configure};

    fn table() -> Table {
        let margin = vec![0.5, 0.25, 1.0];
        Table::new(3).with_f32s(column::TEACHER_MARGIN, margin).with_u64s(column::ROUND, vec![0, 4, 1])
    }

    fn linear(config: &str) -> Linear {
        configure(config, &Env::default()).unwrap()
    }

    #[test]
    fn the_larger_sum_wins() {
        let config = r#"{"columns": {"teacher.margin": -2, "round": 0.5}, "bias": 1}"#;
        assert_eq!(linear(config).score(&table()).unwrap().values, [0.0, 2.5, -0.5]);
        assert_eq!(linear(config).needs(), ["round", "teacher.margin"]);
    }

    #[test]
    fn weights_are_not_below_zero_and_never_all_zero() {
        let weights = |config: &str| linear(config).weigh(&table()).unwrap();
        assert_eq!(weights(r#"{"columns": {"teacher.margin": 2}, "bias": -1}"#), [0.0, 0.0, 1.0]);
        assert_eq!(weights(r#"{"columns": {"teacher.margin": -1}}"#), [1.0, 1.0, 1.0]);
        assert_eq!(weights(r#"{"columns": {"round": 1e300}}"#), [0.0, f32::MAX, f32::MAX]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in
            ["{}", r#"{"columns": {}}"#, r#"{"columns": {"round": "x"}}"#, r#"{"columns": {"id": 1}, "b": 1}"#]
        {
            assert!(configure::<Linear>(config, &Env::default()).is_err(), "{config}");
        }
        let wide = Table::new(1).with_f32s(column::TEACHER_LOGITS, vec![1.0, 2.0]);
        let mut policy = linear(r#"{"columns": {"teacher.logits": 1}}"#);
        assert!(policy.score(&wide).unwrap_err().contains("has 2 numbers a row"));
    }
}
