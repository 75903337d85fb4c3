//! A batch in memory: what a test feeds a policy with.

use std::collections::BTreeMap;
use std::ops::Range;

use limbeck_pool_ops::{self as pool_ops, Points};

use crate::{Batch, Column, Kind};

enum Numbers {
    F32(Vec<f32>),
    U64(Vec<u64>),
}

/// A batch in memory.
///
/// ```
/// use limbeck_policy::{Batch, Table, column};
///
/// let batch = Table::new(2).with_f32s(column::TEACHER_ENTROPY, vec![0.1, 2.0]).with_u64s(column::CLASS, vec![3, 7]);
/// assert_eq!(batch.f32s("teacher.entropy"), Ok(vec![0.1, 2.0]));
/// assert!(batch.f32s("kl").is_err());
/// ```
pub struct Table {
    rows: usize,
    columns: BTreeMap<String, Numbers>,
    /// What [`Batch::round`], [`Batch::epoch`] and [`Batch::step`] say.
    pub round: u32,
    pub epoch: u32,
    pub step: u64,
}

impl Table {
    /// A table of so many rows without columns, at the beginning of the run.
    pub fn new(rows: usize) -> Self {
        Self { rows, columns: BTreeMap::new(), round: 0, epoch: 0, step: 0 }
    }

    /// Adds an f32 column of `numbers.len() / rows` numbers a row.
    ///
    /// # Panics
    /// When the numbers don't make whole rows.
    pub fn with_f32s(self, name: &str, numbers: Vec<f32>) -> Self {
        self.with(name, numbers.len(), Numbers::F32(numbers))
    }

    /// Adds a u64 column of `numbers.len() / rows` numbers a row.
    ///
    /// # Panics
    /// When the numbers don't make whole rows.
    pub fn with_u64s(self, name: &str, numbers: Vec<u64>) -> Self {
        self.with(name, numbers.len(), Numbers::U64(numbers))
    }

    fn with(mut self, name: &str, length: usize, numbers: Numbers) -> Self {
        let whole = if self.rows == 0 { length == 0 } else { length.is_multiple_of(self.rows) && length > 0 };
        assert!(whole, "column `{name}` has {length} numbers, which are not whole rows of {}", self.rows);
        self.columns.insert(name.to_owned(), numbers);
        self
    }

    fn width(&self, length: usize) -> usize {
        length.checked_div(self.rows).unwrap_or(1)
    }

    fn floats(&self, column: &str) -> Result<(&[f32], usize), String> {
        match self.columns.get(column) {
            Some(Numbers::F32(numbers)) => Ok((numbers, self.width(numbers.len()))),
            Some(Numbers::U64(_)) => Err(format!("column `{column}` holds u64 numbers: read it with `u64s`")),
            None => Err(format!("there is no column `{column}`: name it in `needs`")),
        }
    }

    /// An operation of the host over a whole column.
    fn choose(
        &self,
        column: &str,
        operation: impl FnOnce(&Points<'_>) -> Result<Vec<u32>, pool_ops::Error>,
    ) -> Result<Vec<u32>, String> {
        let (numbers, width) = self.floats(column)?;
        let points = Points::new(numbers, width).map_err(|error| format!("column `{column}`: {error}"))?;
        operation(&points).map_err(|error| error.to_string())
    }

    fn range(&self, start: usize, rows: usize, width: usize) -> Result<Range<usize>, String> {
        let end = start.checked_add(rows).filter(|&end| end <= self.rows);
        let end = end.ok_or_else(|| format!("rows {start}+{rows} of a batch of {}", self.rows))?;
        Ok(start * width..end * width)
    }
}

impl Batch for Table {
    fn rows(&self) -> usize {
        self.rows
    }

    fn round(&self) -> u32 {
        self.round
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn step(&self) -> u64 {
        self.step
    }

    fn columns(&self) -> Vec<Column> {
        let describe = |(name, numbers): (&String, &Numbers)| {
            let (kind, length) = match numbers {
                Numbers::F32(numbers) => (Kind::F32, numbers.len()),
                Numbers::U64(numbers) => (Kind::U64, numbers.len()),
            };
            Column { name: name.clone(), kind, width: self.width(length) }
        };
        self.columns.iter().map(describe).collect()
    }

    fn f32s_range(&self, column: &str, start: usize, rows: usize) -> Result<Vec<f32>, String> {
        let (numbers, width) = self.floats(column)?;
        Ok(numbers[self.range(start, rows, width)?].to_vec())
    }

    fn u64s_range(&self, column: &str, start: usize, rows: usize) -> Result<Vec<u64>, String> {
        match self.columns.get(column) {
            Some(Numbers::U64(numbers)) => Ok(numbers[self.range(start, rows, self.width(numbers.len()))?].to_vec()),
            Some(Numbers::F32(_)) => Err(format!("column `{column}` holds f32 numbers: read it with `f32s`")),
            None => Err(format!("there is no column `{column}`: name it in `needs`")),
        }
    }

    fn gather(&self, column: &str, rows: &[u32]) -> Result<Vec<f32>, String> {
        let (numbers, width) = self.floats(column)?;
        let mut gathered = Vec::with_capacity(rows.len() * width);
        for &row in rows {
            gathered.extend_from_slice(&numbers[self.range(row as usize, 1, width)?]);
        }
        Ok(gathered)
    }

    fn k_nearest(&self, column: &str, rows: &[u32], candidates: &[u32], k: u32) -> Result<Vec<u32>, String> {
        self.choose(column, |points| pool_ops::k_nearest(points, rows, candidates, k as usize))
    }

    fn k_centre(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String> {
        self.choose(column, |points| pool_ops::k_centre(points, candidates, budget as usize))
    }

    fn herding(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String> {
        self.choose(column, |points| pool_ops::herding(points, candidates, budget as usize))
    }

    fn facility_location(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String> {
        self.choose(column, |points| pool_ops::facility_location(points, candidates, budget as usize))
    }

    fn near_duplicates(&self, column: &str, candidates: &[u32], cosine: f32) -> Result<Vec<u32>, String> {
        self.choose(column, |points| pool_ops::near_duplicates(points, candidates, cosine))
    }

    fn top_per_class(&self, scores: &[f32], quota: u32) -> Result<Vec<u32>, String> {
        let class = self.u64s(crate::column::CLASS)?;
        pool_ops::top_per_class(&class, scores, quota as usize).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(3).with_f32s("logits", vec![0.0, 0.1, 1.0, 1.1, 2.0, 2.1]).with_u64s("class", vec![7, 8, 9])
    }

    #[test]
    fn rows_come_whole() {
        assert_eq!(table().f32s_range("logits", 1, 1), Ok(vec![1.0, 1.1]));
        assert_eq!(table().gather("logits", &[2, 0]), Ok(vec![2.0, 2.1, 0.0, 0.1]));
        assert_eq!(table().u64s("class"), Ok(vec![7, 8, 9]));
        assert_eq!(table().columns()[1], Column { name: "logits".into(), kind: Kind::F32, width: 2 });
    }

    #[test]
    fn wrong_names_kinds_and_rows_are_errors() {
        assert!(table().f32s("kl").unwrap_err().contains("needs"));
        assert!(table().f32s("class").unwrap_err().contains("u64s"));
        assert!(table().u64s("logits").unwrap_err().contains("f32s"));
        assert!(table().gather("logits", &[3]).is_err());
        assert!(table().f32s_range("logits", usize::MAX, 2).is_err());
    }
}
