//! Some rows of a source, copied: what is left for the next of several policies.

use super::{Column, Numbers, Source};

/// Owned rows; see [`Source`] for the parts.
pub struct Rows {
    classes: usize,
    class: Vec<u32>,
    id: Vec<u64>,
    teacher: Option<Vec<f32>>,
    student: Option<Vec<f32>>,
    features: Option<(Vec<f32>, usize)>,
    given: Vec<Column>,
}

impl Source<'_> {
    /// These rows in this order. Panics when one is out of range.
    pub fn rows(&self, rows: &[usize]) -> Rows {
        let wide = |all: &[f32], width: usize| gather(all, width, rows.iter().copied());
        let given = |column: &Column| {
            let rows = rows.iter().map(|row| self.first + row);
            let numbers = match &column.numbers {
                Numbers::F32(all) => Numbers::F32(gather(all, column.width, rows)),
                Numbers::U64(all) => Numbers::U64(gather(all, column.width, rows)),
            };
            Column { name: column.name.clone(), width: column.width, numbers }
        };
        Rows {
            classes: self.classes,
            class: gather(self.class, 1, rows.iter().copied()),
            id: gather(self.id, 1, rows.iter().copied()),
            teacher: self.teacher.map(|all| wide(all, self.classes)),
            student: self.student.map(|all| wide(all, self.classes)),
            features: self.features.map(|(all, width)| (wide(all, width), width)),
            given: self.given.iter().map(given).collect(),
        }
    }
}

impl Rows {
    pub fn source(&self) -> Source<'_> {
        Source {
            classes: self.classes,
            class: &self.class,
            id: &self.id,
            teacher: self.teacher.as_deref(),
            student: self.student.as_deref(),
            features: self.features.as_ref().map(|(all, width)| (all.as_slice(), *width)),
            given: &self.given,
            first: 0,
        }
    }
}

fn gather<T: Copy>(all: &[T], width: usize, rows: impl Iterator<Item = usize>) -> Vec<T> {
    rows.flat_map(|row| all[row * width..][..width].iter().copied()).collect()
}
