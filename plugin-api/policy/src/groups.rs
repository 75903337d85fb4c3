//! The rows of each class with its share of a budget.

use std::collections::BTreeMap;

use crate::{Batch, column};

/// With `per_class`, the rows of each class, in the order of classes, and how many of them may be kept: equal shares, what
/// a small class can't use going to the others one by one. Otherwise all rows with the whole budget. Reads
/// [`column::CLASS`].
pub fn groups(batch: &dyn Batch, budget: u32, per_class: bool) -> Result<Vec<(Vec<u32>, u32)>, String> {
    if !per_class {
        return Ok(vec![((0..batch.rows() as u32).collect(), budget)]);
    }
    let mut rows = BTreeMap::<u64, Vec<u32>>::new();
    for (row, class) in batch.u64s(column::CLASS)?.into_iter().enumerate() {
        rows.entry(class).or_default().push(row as u32);
    }
    let mut left = (budget as usize).min(batch.rows());
    let mut groups: Vec<(Vec<u32>, u32)> = rows.into_values().map(|rows| (rows, 0)).collect();
    while left > 0 {
        let open = groups.iter().filter(|(rows, share)| (*share as usize) < rows.len()).count();
        // A whole turn gives every open class as much, the last turn one each until nothing is left.
        let turn = (left / open.max(1)).max(1);
        for (rows, share) in groups.iter_mut() {
            let more = turn.min(rows.len() - *share as usize).min(left);
            *share += more as u32;
            left -= more;
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;

    fn shares(class: &[u64], budget: u32) -> Vec<u32> {
        let batch = Table::new(class.len()).with_u64s(column::CLASS, class.to_vec());
        groups(&batch, budget, true).unwrap().into_iter().map(|(_, share)| share).collect()
    }

    #[test]
    fn shares_are_equal_and_what_is_left_goes_on() {
        assert_eq!(shares(&[0, 0, 0, 1, 1, 1], 4), [2, 2]);
        assert_eq!(shares(&[0, 0, 0, 1, 1, 1], 5), [3, 2]);
        assert_eq!(shares(&[0, 1, 1, 1, 1, 2], 5), [1, 3, 1]);
        assert_eq!(shares(&[5, 5], 9), [2]);
        assert_eq!(shares(&[], 9), [] as [u32; 0]);
        assert_eq!(shares(&[0, 1], 0), [0, 0]);
    }
}
