//! Who gets how much of a budget.

/// The rows of each class in their order, and how many of them a budget has room for when the classes take turns, the
/// lower class first; what a poor class leaves goes to the others. Without `per_class` all rows are one group.
///
/// ```
/// use limbeck_policy::share;
///
/// assert_eq!(share(&[7, 5, 7, 7], true, 3), [(vec![1], 1), (vec![0, 2, 3], 2)]);
/// assert_eq!(share(&[7, 5, 7, 7], false, 3), [(vec![0, 1, 2, 3], 3)]);
/// ```
pub fn share(class: &[u64], per_class: bool, budget: u32) -> Vec<(Vec<u32>, usize)> {
    let mut groups = std::collections::BTreeMap::<u64, Vec<u32>>::new();
    for (row, &class) in class.iter().enumerate() {
        groups.entry(if per_class { class } else { 0 }).or_default().push(row as u32);
    }
    let mut left = (budget as usize).min(class.len());
    let mut shares: Vec<(Vec<u32>, usize)> = groups.into_values().map(|rows| (rows, 0)).collect();
    while left > 0 {
        for (rows, quota) in &mut shares {
            if *quota < rows.len() && left > 0 {
                *quota += 1;
                left -= 1;
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(class: &[u64], budget: u32) -> Vec<usize> {
        share(class, true, budget).into_iter().map(|(_, quota)| quota).collect()
    }

    #[test]
    fn classes_take_turns_and_the_poor_leave_their_share() {
        assert_eq!(quotas(&[0, 0, 0, 1, 1, 1], 3), [2, 1]);
        assert_eq!(quotas(&[0, 1, 1, 1, 1], 4), [1, 3]);
        assert_eq!(quotas(&[0, 1, 1], 100), [1, 2]);
        assert_eq!(quotas(&[3, 3], 0), [0]);
        assert!(quotas(&[], 5).is_empty());
    }
}
