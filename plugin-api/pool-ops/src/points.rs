//! The rows that everything here works on.

/// What is wrong with the arguments of an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{values} numbers are not whole rows of {width}")]
    NotRows { values: usize, width: usize },
    #[error("row {row} has a number that is not finite")]
    NotFinite { row: usize },
    #[error("row {row} is named, and there are only {rows}")]
    NoSuchRow { row: u32, rows: usize },
    #[error("row {row} is named twice")]
    Twice { row: u32 },
    #[error("{what} is {found}, expected {expected}")]
    OutOfRange { what: &'static str, found: String, expected: &'static str },
    #[error("{found} scores for {expected} rows")]
    Lengths { found: usize, expected: usize },
}

/// Row vectors of the same width, all numbers finite.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Points<'a> {
    /// `values` is `[rows, width]`, row after row. Fails on numbers that are not finite, which have no distance.
    pub fn new(values: &'a [f32], width: usize) -> Result<Self, Error> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Error::NotRows { values: values.len(), width });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Error::NotFinite { row: at / width }),
            None => Ok(Self { values, width }),
        }
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn row(&self, row: u32) -> &'a [f32] {
        &self.values[row as usize * self.width..][..self.width]
    }

    /// Fails where a candidate is no row, or is named twice.
    pub(crate) fn check(&self, candidates: &[u32]) -> Result<(), Error> {
        let mut seen = vec![false; self.rows()];
        for &row in candidates {
            match seen.get_mut(row as usize) {
                None => return Err(Error::NoSuchRow { row, rows: self.rows() }),
                Some(seen) if *seen => return Err(Error::Twice { row }),
                Some(seen) => *seen = true,
            }
        }
        Ok(())
    }

    /// The mean of the candidates, summed in their order.
    pub(crate) fn mean(&self, candidates: &[u32]) -> Vec<f64> {
        let mut mean = vec![0.0_f64; self.width];
        for &row in candidates {
            mean.iter_mut().zip(self.row(row)).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= candidates.len().max(1) as f64);
        mean
    }
}
