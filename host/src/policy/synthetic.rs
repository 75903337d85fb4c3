//! Made-up images for a trial of a policy: every column that there is, with numbers as a run gives them.

use rand_distr::{Distribution as _, StandardNormal};

use super::{Column, Source};
use crate::seed::{self, Purpose};

/// How many images, classes and features.
pub const ROWS: usize = 64;
pub const CLASSES: usize = 10;
pub const FEATURES: usize = 16;

/// A student that has learnt something, and a teacher that knows more.
pub struct Synthetic {
    class: Vec<u32>,
    id: Vec<u64>,
    teacher: Vec<f32>,
    student: Vec<f32>,
    features: Vec<f32>,
    given: Vec<Column>,
}

impl Synthetic {
    /// The same ones every time.
    pub fn new() -> Self {
        let mut rng = seed::rng(0, Purpose::Policy, 0);
        let mut normal = |count: usize| -> Vec<f32> { StandardNormal.sample_iter(&mut rng).take(count).collect() };
        let class: Vec<u32> = (0..ROWS).map(|row| (row % CLASSES) as u32).collect();
        let mut teacher = normal(ROWS * CLASSES);
        for (row, &class) in class.iter().enumerate() {
            teacher[row * CLASSES + class as usize] += 2.0;
        }
        let student =
            teacher.iter().zip(normal(ROWS * CLASSES)).map(|(teacher, noise)| 0.5 * teacher + noise).collect();
        let features = normal(ROWS * FEATURES).iter().map(|number| number.max(0.0)).collect();
        let given = given(normal(ROWS * FEATURES));
        Self { class, id: (0..ROWS as u64).collect(), teacher, student, features, given }
    }

    /// All of them at once.
    pub fn source(&self) -> Source<'_> {
        Source {
            classes: CLASSES,
            class: &self.class,
            id: &self.id,
            teacher: Some(&self.teacher),
            student: Some(&self.student),
            features: Some((&self.features, FEATURES)),
            given: &self.given,
            first: 0,
        }
    }
}

/// Provenance, history and what other programs know.
fn given(student_features: Vec<f32>) -> Vec<Column> {
    // From 0 to below 1, differing from row to row.
    let share = |row: usize| (row * 29 % ROWS) as f32 / ROWS as f32;
    let floats = |name: &str, low: f32, high: f32| {
        Column::f32s(name, 1, (0..ROWS).map(|row| low + (high - low) * share(row)).collect())
    };
    let whole = |name: &str, number: fn(usize) -> u64| Column::u64s(name, (0..ROWS).map(number).collect());
    vec![
        Column::f32s("student.features", FEATURES, student_features),
        floats("guidance", 1.0, 4.0),
        whole("steps", |row| 20 + row as u64 % 3 * 10),
        whole("seed", |row| row as u64),
        whole("round", |row| row as u64 % 2),
        floats("external", 0.0, 1.0),
        whole("history.seen", |row| 1 + row as u64 % 7),
        whole("history.forgotten", |row| row as u64 % 4),
        floats("history.loss", 0.0, 3.0),
        floats("history.mean-loss", 0.0, 3.0),
        floats("history.kl", 0.0, 2.0),
        floats("history.margin", -3.0, 8.0),
        floats("history.p-class", 0.0, 1.0),
        floats("history.p-class-std", 0.0, 0.5),
        whole("class.count", |row| 6 + u64::from(row % CLASSES < 4)),
        floats("class.loss", 0.0, 2.0),
        floats("class.lag", -0.5, 0.5),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_the_sdk_is_there() {
        let names = include_str!("../../../plugin-api/policy/src/column.rs");
        let names = names.lines().filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1));
        let names: Vec<String> = names.map(str::to_owned).collect();
        assert!(names.len() > 30, "{names:?}");
        super::super::compute(&Synthetic::new().source(), &names).unwrap();
    }
}
