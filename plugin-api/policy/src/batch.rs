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
    /// The round, from 0: that in which the images were drawn; of a weigher, that after which the student is trained.
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

    /// The `k` of `candidates` nearest to each of `rows` by Euclidean distance in an f32 column, nearest first, without
    /// the row itself: `[rows, k]`. Like the other choices below it is made by the host and costs fuel: one unit for 16
    /// multiplications, here rows × candidates × width of them. Candidates are rows, none twice.
    fn k_nearest(&self, column: &str, rows: &[u32], candidates: &[u32], k: u32) -> Result<Vec<u32>, String>;
    /// At most `budget` of `candidates`, each the farthest from those chosen before it (k-centre greedy, Sener and
    /// Savarese 2018), the first the nearest to the mean, in the order of choice. Candidates × budget × width multiplications.
    fn k_centre(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String>;
    /// At most `budget` of `candidates` whose mean comes nearest to that of all (herding, Welling 2009), in the order of
    /// choice. Candidates × budget × width multiplications.
    fn herding(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String>;
    /// At most `budget` of `candidates` that make the sum over all of the best cosine largest, negative ones counting 0
    /// (facility location, Wei, Iyer and Bilmes 2015), in the order of choice. Candidates² × width multiplications.
    fn facility_location(&self, column: &str, candidates: &[u32], budget: u32) -> Result<Vec<u32>, String>;
    /// For each of `candidates` the earlier one that it is a near-duplicate of (cosine at least `cosine`), or itself
    /// where it is new. At worst candidates² × width multiplications.
    fn near_duplicates(&self, column: &str, candidates: &[u32], cosine: f32) -> Result<Vec<u32>, String>;
    /// The `quota` rows with the highest of `scores` (one a row) of each class, or all where a class has fewer, in their
    /// order. Reads [`crate::column::CLASS`].
    fn top_per_class(&self, scores: &[f32], quota: u32) -> Result<Vec<u32>, String>;
}
