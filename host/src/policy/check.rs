//! What a policy replied is checked before anything uses it.

use super::instance::{Draw, Scores, Selection, Veto};

/// One finite number a row, vetoes in range, each row at most once.
pub fn scores(scores: &Scores, rows: usize, reasons: usize) -> Result<(), String> {
    one_a_row(&scores.values, rows)?;
    if let Some((row, value)) = scores.values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(format!("the score of row {row} is {value}: use a veto to drop a row"));
    }
    vetoes(&scores.vetoes, &mut vec![false; rows], reasons)
}

/// Rows in range, within the budget, none twice, and none both kept and vetoed.
pub fn selection(selection: &Selection, rows: usize, budget: usize, reasons: usize) -> Result<(), String> {
    if selection.keep.len() > budget {
        return Err(format!("{} rows are kept, the budget is {budget}", selection.keep.len()));
    }
    let mut seen = vec![false; rows];
    for &row in &selection.keep {
        mark(&mut seen, row)?;
    }
    vetoes(&selection.vetoes, &mut seen, reasons)
}

/// One number a row, finite, not negative, not all zero.
pub fn weights(weights: &[f32], rows: usize) -> Result<(), String> {
    one_a_row(weights, rows)?;
    for (row, &weight) in weights.iter().enumerate() {
        if !weight.is_finite() || weight < 0.0 {
            return Err(format!("the weight of row {row} is {weight}, expected a finite number that is not negative"));
        }
    }
    if rows > 0 && weights.iter().all(|&weight| weight == 0.0) {
        return Err(format!("all {rows} weights are zero, so that nothing would be learnt in this step"));
    }
    Ok(())
}

/// As many draws as asked for, of classes that there are, with a guidance scale of 0 to 1000 and 1 to 10,000 steps.
pub fn draws(draws: &[Draw], images: u32, classes: u32) -> Result<(), String> {
    if draws.len() != images as usize {
        return Err(format!("{} draws are planned, {images} were asked for", draws.len()));
    }
    for (place, draw) in draws.iter().enumerate() {
        let Draw { class, guidance, steps, .. } = *draw;
        if class >= classes {
            return Err(format!("draw {place} is of class {class}, and there are {classes}, from 0"));
        }
        if !(0.0..=1000.0).contains(&guidance) {
            return Err(format!("draw {place} has guidance {guidance}, expected 0 to 1000"));
        }
        if !(1..=10_000).contains(&steps) {
            return Err(format!("draw {place} has {steps} steps, expected 1 to 10000"));
        }
    }
    Ok(())
}

fn one_a_row(values: &[f32], rows: usize) -> Result<(), String> {
    if values.len() == rows { Ok(()) } else { Err(format!("{} numbers for {rows} rows", values.len())) }
}

fn mark(seen: &mut [bool], row: u32) -> Result<(), String> {
    let rows = seen.len();
    let seen = seen.get_mut(row as usize).ok_or_else(|| format!("row {row} is named, and there are only {rows}"))?;
    if std::mem::replace(seen, true) { Err(format!("row {row} is named twice")) } else { Ok(()) }
}

fn vetoes(vetoes: &[Veto], seen: &mut [bool], reasons: usize) -> Result<(), String> {
    for veto in vetoes {
        mark(seen, veto.row)?;
        if veto.reason as usize >= reasons {
            return Err(format!("row {} is vetoed for reason {}, and `init` named {reasons}", veto.row, veto.reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_finite_not_negative_and_not_all_zero() {
        assert_eq!(weights(&[0.0, 1.0, 1e38, f32::MIN_POSITIVE / 2.0], 4), Ok(()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e-9] {
            assert!(weights(&[1.0, bad], 2).unwrap_err().contains("row 1"), "{bad}");
        }
        assert!(weights(&[0.0, 0.0], 2).unwrap_err().contains("all 2 weights are zero"));
        assert!(weights(&[], 1).is_err() && weights(&[1.0; 3], 2).is_err() && weights(&[1.0], 2).is_err());
    }

    #[test]
    fn scores_are_finite_and_vetoes_in_range() {
        let veto = |row, reason| Scores { values: vec![0.0, 1.0], vetoes: vec![Veto { row, reason }] };
        assert_eq!(scores(&veto(1, 0), 2, 1), Ok(()));
        assert!(scores(&veto(2, 0), 2, 1).is_err());
        assert!(scores(&veto(0, 1), 2, 1).is_err());
        let nan = Scores { values: vec![f32::NAN, 0.0], vetoes: vec![] };
        assert!(scores(&nan, 2, 0).unwrap_err().contains("veto"));
    }

    #[test]
    fn draws_are_as_many_as_asked_and_can_be_drawn() {
        let draw = |class, guidance, steps| [Draw { class, guidance, steps, seed: 0 }];
        assert_eq!(draws(&draw(2, 0.0, 1), 1, 3), Ok(()));
        assert!(draws(&draw(3, 1.0, 1), 1, 3).unwrap_err().contains("class 3"));
        assert!(draws(&draw(0, 1.0, 0), 1, 3).unwrap_err().contains("0 steps"));
        assert!(draws(&draw(0, 1.0, 1), 2, 3).unwrap_err().contains("1 draws are planned, 2"));
        for guidance in [f32::NAN, 1e30, -1.0, f32::INFINITY] {
            assert!(draws(&draw(0, guidance, 1), 1, 3).unwrap_err().contains("guidance"), "{guidance}");
        }
    }

    #[test]
    fn selections_are_in_range_unique_and_within_budget() {
        let keep = |keep: &[u32]| Selection { keep: keep.to_vec(), vetoes: vec![] };
        assert_eq!(selection(&keep(&[2, 0]), 3, 2, 0), Ok(()));
        assert!(selection(&keep(&[0, 1, 2]), 3, 2, 0).unwrap_err().contains("budget"));
        assert!(selection(&keep(&[0, 0]), 3, 2, 0).unwrap_err().contains("twice"));
        assert!(selection(&keep(&[3]), 3, 2, 0).unwrap_err().contains("only 3"));
        let both = Selection { keep: vec![1], vetoes: vec![Veto { row: 1, reason: 0 }] };
        assert!(selection(&both, 3, 2, 1).unwrap_err().contains("twice"));
    }
}
