//! From a policy's reply to a verdict on each row. Pure.

use crate::policy::{Scores, Selection};

/// What happens to one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub kept: bool,
    pub score: Option<f32>,
    /// From 1.
    pub rank: Option<u32>,
    pub reason: String,
}

/// Everything stays, or the first `budget` by id.
pub fn without_policy(ids: &[u64], budget: usize) -> Vec<Verdict> {
    let verdict = |(rank, kept): (usize, bool)| Verdict {
        kept,
        score: None,
        rank: Some(rank as u32 + 1),
        reason: if kept { "no policy drops it" } else { "over the budget" }.into(),
    };
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&row| ids[row]);
    let mut rank = vec![0; ids.len()];
    order.iter().enumerate().for_each(|(place, &row)| rank[row] = place);
    rank.into_iter().map(|rank| verdict((rank, rank < budget))).collect()
}

/// What a policy that asks for a student decides before there is one: likewise.
pub fn without_student(ids: &[u64], budget: usize) -> Vec<Verdict> {
    let reason =
        |kept| if kept { "no student yet to judge by" } else { "over the budget, and no student yet to judge by" };
    let verdicts = without_policy(ids, budget).into_iter();
    verdicts.map(|verdict| Verdict { reason: reason(verdict.kept).into(), ..verdict }).collect()
}

/// Keeps the `budget` rows of the highest scores; vetoed rows never, even if room is left. Equal scores go by id.
///
/// The reply was checked: one finite score a row, vetoes in range.
pub fn by_score(scores: &Scores, ids: &[u64], reasons: &[String], budget: usize) -> Vec<Verdict> {
    let dropped = |reason: String, score| Verdict { kept: false, score: Some(score), rank: None, reason };
    let mut verdicts: Vec<Verdict> = scores.values.iter().map(|&score| dropped(String::new(), score)).collect();
    let mut vetoed = vec![false; ids.len()];
    for veto in &scores.vetoes {
        vetoed[veto.row as usize] = true;
        verdicts[veto.row as usize].reason = reason(reasons, veto.reason);
    }
    let mut order: Vec<usize> = (0..ids.len()).filter(|&row| !vetoed[row]).collect();
    // `+ 0.0` makes −0 and 0 the same, so that the tie goes by id.
    let score = |row: usize| scores.values[row] + 0.0;
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(ids[a].cmp(&ids[b])));
    for (place, row) in order.into_iter().enumerate() {
        let kept = place < budget;
        let reason = if kept { "among the best by score" } else { "below the cut by score" }.into();
        verdicts[row] = Verdict { kept, score: Some(scores.values[row]), rank: Some(place as u32 + 1), reason };
    }
    verdicts
}

/// Keeps what the selector named. The reply was checked: rows in range, none twice.
pub fn by_selection(selection: &Selection, rows: usize, reasons: &[String]) -> Vec<Verdict> {
    let verdict = |kept, reason: &str| Verdict { kept, score: None, rank: None, reason: reason.into() };
    let mut verdicts = vec![verdict(false, "not chosen"); rows];
    for &row in &selection.keep {
        verdicts[row as usize] = verdict(true, "chosen");
    }
    for veto in &selection.vetoes {
        verdicts[veto.row as usize] = verdict(false, &reason(reasons, veto.reason));
    }
    verdicts
}

fn reason(reasons: &[String], index: u32) -> String {
    reasons.get(index as usize).cloned().unwrap_or_else(|| "vetoed".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Veto;

    fn kept(verdicts: &[Verdict]) -> Vec<usize> {
        (0..verdicts.len()).filter(|&row| verdicts[row].kept).collect()
    }

    #[test]
    fn the_best_stay_and_ties_go_by_id() {
        let scores = Scores { values: vec![0.0, 2.0, -0.0, 1.0], vetoes: vec![] };
        let verdicts = by_score(&scores, &[7, 5, 3, 9], &[], 3);
        assert_eq!(kept(&verdicts), [1, 2, 3]);
        assert_eq!(verdicts.iter().map(|v| v.rank).collect::<Vec<_>>(), [Some(4), Some(1), Some(3), Some(2)]);
        assert_eq!(verdicts[0].reason, "below the cut by score");
    }

    #[test]
    fn a_veto_holds_even_if_there_is_room() {
        let scores = Scores { values: vec![3.0, 1.0], vetoes: vec![Veto { row: 0, reason: 0 }] };
        let verdicts = by_score(&scores, &[0, 1], &["too sure".into()], 2);
        assert_eq!(kept(&verdicts), [1]);
        assert_eq!((verdicts[0].reason.as_str(), verdicts[0].rank), ("too sure", None));
    }

    #[test]
    fn a_selection_is_taken_as_it_is() {
        let selection = Selection { keep: vec![2], vetoes: vec![Veto { row: 0, reason: 0 }] };
        let verdicts = by_selection(&selection, 3, &["class is full".into()]);
        let reasons: Vec<_> = verdicts.iter().map(|v| v.reason.as_str()).collect();
        assert_eq!((kept(&verdicts), reasons), (vec![2], vec!["class is full", "not chosen", "chosen"]));
    }

    #[test]
    fn without_a_policy_the_first_ids_stay() {
        assert_eq!(kept(&without_policy(&[9, 1, 5], 2)), [1, 2]);
        assert_eq!(kept(&without_policy(&[9, 1, 5], 3)), [0, 1, 2]);
    }
}
