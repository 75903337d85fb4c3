//! What a policy sees: a batch of images as columns of numbers.

/// The type of a column's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F32,
    U64,
}

/// One column of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Numbers a row: 1 for a scalar, the number of classes for logits.
    pub width: usize,
}

/// A batch of images, lent for one call: by the host inside the sandbox, by a [`crate::Table`] in a test.
///
/// It holds the columns that the policy named in [`crate::Policy::needs`]; every other name is an error, and so are rows
/// past the end.
pub trait Batch {
    /// How many rows.
    fn rows(&self) -> usize;
    /// The round of drawing that the images come from, from 0.
    fn round(&self) -> u32;
    /// The epoch of training, from 0; 0 outside training.
    fn epoch(&self) -> u32;
    /// The step of training, from 0 and never starting again; 0 outside training.
    fn step(&self) -> u64;
    /// The columns in this batch.
    fn columns(&self) -> Vec<Column>;
    /// `rows` rows of an f32 column from row `start`: `rows × width` numbers, row after row.
    fn f32s_range(&self, column: &str, start: usize, rows: usize) -> Result<Vec<f32>, String>;
    /// `rows` rows of a u64 column from row `start`.
    fn u64s_range(&self, column: &str, start: usize, rows: usize) -> Result<Vec<u64>, String>;
    /// The named rows of an f32 column, in the order given.
    fn gather(&self, column: &str, rows: &[u32]) -> Result<Vec<f32>, String>;

    /// A whole f32 column.
    fn f32s(&self, column: &str) -> Result<Vec<f32>, String> {
        self.f32s_range(column, 0, self.rows())
    }

    /// A whole u64 column.
    fn u64s(&self, column: &str) -> Result<Vec<u64>, String> {
        self.u64s_range(column, 0, self.rows())
    }
}
