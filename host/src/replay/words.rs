//! A replay in words, for the terminal.

use std::collections::BTreeMap;

use super::{Replay, Selection, Weights};
use crate::progress::counted;
use crate::select::{Decision, reasons};

impl Replay {
    /// What changes, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("policy     {} {}", self.used.name, self.used.version)];
        if self.rounds > 1 {
            lines.push(format!("round      {} of 0 to {}", self.round, self.rounds - 1));
        }
        lines.extend(self.selection.iter().flat_map(Selection::lines));
        lines.extend(self.weights.iter().flat_map(Weights::lines));
        lines.push(format!("used       {}", self.used.in_words()));
        lines
    }
}

impl Selection {
    /// Kept by both, by the run alone, by the replay alone, by neither.
    pub fn counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for (then, now) in self.then.iter().zip(&self.now) {
            counts[match (then.kept, now.kept) {
                (true, true) => 0,
                (true, false) => 1,
                (false, true) => 2,
                (false, false) => 3,
            }] += 1;
        }
        counts
    }

    /// By class: images, kept by the run, kept by the replay.
    pub fn by_class(&self) -> BTreeMap<u32, [usize; 3]> {
        let mut classes = BTreeMap::<u32, [usize; 3]>::new();
        for (then, now) in self.then.iter().zip(&self.now) {
            let counts = classes.entry(then.class).or_default();
            let found = [true, then.kept, now.kept].map(usize::from);
            counts.iter_mut().zip(found).for_each(|(count, found)| *count += found);
        }
        classes
    }

    fn lines(&self) -> Vec<String> {
        const CLASSES: usize = 20;
        let kept = |decisions: &[Decision]| decisions.iter().filter(|decision| decision.kept).count();
        let [both, only_then, only_now, neither] = self.counts();
        let before = self.before.as_deref().unwrap_or("no policy");
        let mut lines = vec![
            format!(
                "selection  keeps {} of {}; the run kept {} with {before}",
                kept(&self.now),
                counted(self.now.len(), "image"),
                kept(&self.then)
            ),
            format!(
                "change     {both} kept by both, {only_then} by the run only, {only_now} now only, {neither} by neither"
            ),
        ];
        let dropped = reasons(&self.now);
        lines.push(format!("dropped    {}", if dropped.is_empty() { "none" } else { &dropped }));
        let classes = self.by_class();
        let shown = classes.iter().take(CLASSES);
        lines.extend(shown.map(|(class, [all, then, now])| format!("class {class:<4} {now} of {all}; the run {then}")));
        if classes.len() > CLASSES {
            lines.push(format!("           the first {CLASSES} of {} classes", classes.len()));
        }
        lines
    }
}

impl Weights {
    /// Spearman's rank correlation of the weights then and now, -1 to 1; `None` where either are all the same.
    pub fn rank_correlation(&self) -> Option<f64> {
        let (a, b) = (ranks(&self.then), ranks(&self.now));
        let mean = (a.len() as f64 - 1.0) / 2.0;
        let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
        let norm = (product(&a, &a) * product(&b, &b)).sqrt();
        (norm > 0.0).then(|| product(&a, &b) / norm)
    }

    fn lines(&self) -> Vec<String> {
        let before = self.before.as_deref().unwrap_or("none, every image counts 1");
        let correlation = self.rank_correlation().map_or("–".to_owned(), |rank| format!("{rank:.3}"));
        vec![
            format!("weights    of {}: {}", counted(self.now.len(), "image"), spread(&self.now)),
            format!("the run's  {} ({before})", spread(&self.then)),
            format!("order      rank correlation with the run's {correlation}"),
        ]
    }
}

/// Lowest, median, highest and what the heaviest tenth holds.
fn spread(weights: &[f64]) -> String {
    let mut sorted = weights.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    let heaviest: f64 = sorted.iter().rev().take(sorted.len().div_ceil(10)).sum();
    let share = 100.0 * heaviest / sorted.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let (low, median, high) = (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)));
    format!("lowest {low:.3}, median {median:.3}, highest {high:.3}, the heaviest tenth holds {share:.1} %")
}

/// The rank of each value from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let first = order.partition_point(|&row| values[row] < values[group[0]]) as f64;
        let rank = first + (group.len() as f64 - 1.0) / 2.0;
        group.iter().for_each(|&row| ranks[row] = rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[2.0, 1.0, 2.0, 5.0]), [1.5, 0.0, 1.5, 3.0]);
    }

    #[test]
    fn the_order_decides_the_correlation() {
        let weights = |now: &[f64]| Weights { before: None, ids: vec![], then: vec![0.1, 0.2, 4.0], now: now.to_vec() };
        assert_eq!(weights(&[1.0, 5.0, 6.0]).rank_correlation(), Some(1.0));
        assert_eq!(weights(&[3.0, 2.0, 1.0]).rank_correlation(), Some(-1.0));
        assert_eq!(weights(&[1.0, 1.0, 1.0]).rank_correlation(), None);
        assert!(weights(&[1.0]).lines()[0].starts_with("weights    of 1 image: "));
    }

    #[test]
    fn decisions_are_compared_image_by_image() {
        let decisions = |kept: [bool; 4]| {
            let decision = |(id, kept): (usize, bool)| Decision {
                id: id as u64,
                class: id as u32 % 2,
                kept,
                score: None,
                rank: None,
                reason: if kept { "good" } else { "bad" }.into(),
                teacher_class: 0,
                teacher_p_class: 0.5,
            };
            kept.into_iter().enumerate().map(decision).collect::<Vec<_>>()
        };
        let (then, now) = (decisions([true, true, false, false]), decisions([true, false, true, false]));
        let selection = Selection { before: None, then, now };
        assert_eq!(selection.counts(), [1, 1, 1, 1]);
        assert_eq!(selection.by_class()[&0], [2, 1, 2]);
        assert!(selection.lines()[0].contains("keeps 2 of 4 images; the run kept 2 with no policy"));
        assert!(selection.lines()[2].contains("2 bad"));
    }
}
