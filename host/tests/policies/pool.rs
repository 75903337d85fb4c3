//! Pools of images for policies: random ones, and those that have little to tell them apart.

use limbeck::policy::{Column, Columns, Numbers, Source, compute};
use limbeck::seed::{Purpose, rng};
use limbeck_policy::Table;
use rand::Rng;

pub const FEATURES: usize = 6;

/// A pool with everything that a column can be made of: sure and unsure teachers, an early student.
#[derive(Clone)]
pub struct Pool {
    pub classes: usize,
    pub class: Vec<u32>,
    pub id: Vec<u64>,
    pub teacher: Vec<f32>,
    pub student: Vec<f32>,
    features: Vec<f32>,
    guidance: Vec<f32>,
    steps: Vec<u32>,
    seed: Vec<u64>,
    round: Vec<u32>,
}

impl Pool {
    pub fn random(rows: usize, classes: usize) -> Self {
        let mut random = rng(3, Purpose::Subset, 0);
        let mut numbers = |width: usize, scale: f32| {
            (0..rows * width).map(|_| random.random_range(-scale..scale)).collect::<Vec<_>>()
        };
        let (teacher, student, features) = (numbers(classes, 12.0), numbers(classes, 2.0), numbers(FEATURES, 1.0));
        Self {
            classes,
            class: (0..rows).map(|_| random.random_range(0..classes as u32)).collect(),
            id: (0..rows as u64).map(|row| 1000 + 3 * row).collect(),
            teacher,
            student,
            features,
            guidance: (0..rows).map(|_| random.random_range(0.0..6.0)).collect(),
            steps: (0..rows).map(|_| random.random_range(1..100)).collect(),
            seed: (0..rows).map(|_| random.random()).collect(),
            round: (0..rows).map(|row| row as u32 % 3).collect(),
        }
    }

    /// Every image the same, of one class.
    pub fn equal(rows: usize, classes: usize) -> Self {
        let one = Self::random(1, classes);
        let same = |numbers: &[f32]| numbers.repeat(rows);
        Self {
            class: vec![0; rows],
            teacher: same(&one.teacher),
            student: same(&one.student),
            features: same(&one.features),
            guidance: same(&one.guidance),
            ..Self::random(rows, classes)
        }
    }

    /// The same images under a student that says of each what it said of one `times` rows before.
    pub fn after(&self, times: usize) -> Self {
        let mut later = self.clone();
        let rows = self.class.len();
        later.student.rotate_right(times.checked_rem(rows).unwrap_or(0) * self.classes);
        later
    }

    /// What [`limbeck::policy`] computes columns from.
    pub fn columns(&self, needs: &[String]) -> Columns {
        let wide = |numbers: &[u32]| numbers.iter().map(|&number| number.into()).collect();
        let given = [
            Column::f32s("guidance", 1, self.guidance.clone()),
            Column::u64s("steps", wide(&self.steps)),
            Column::u64s("seed", self.seed.clone()),
            Column::u64s("round", wide(&self.round)),
        ];
        let source = Source {
            classes: self.classes,
            class: &self.class,
            id: &self.id,
            teacher: Some(&self.teacher),
            student: Some(&self.student),
            features: Some((&self.features, FEATURES)),
            given: &given,
            first: 0,
        };
        compute(&source, needs).expect("the columns of a sound pool")
    }
}

/// The same columns for a native twin.
pub fn table(columns: &Columns) -> Table {
    columns.iter().fold(Table::new(columns.rows()), |table, (name, _, numbers)| match numbers {
        Numbers::F32(numbers) => table.with_f32s(name, numbers.clone()),
        Numbers::U64(numbers) => table.with_u64s(name, numbers.clone()),
    })
}
