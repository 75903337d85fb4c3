//! As many of each class.

use crate::Error;

/// The `quota` rows of the highest score of each class, or all where a class has fewer; equal scores in the order of the
/// rows. In the order of the rows.
pub fn top_per_class(class: &[u64], scores: &[f32], quota: usize) -> Result<Vec<u32>, Error> {
    if scores.len() != class.len() {
        return Err(Error::Lengths { found: scores.len(), expected: class.len() });
    }
    if let Some(row) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::NotFinite { row });
    }
    let mut rows: Vec<u32> = (0..class.len() as u32).collect();
    rows.sort_by(|&a, &b| {
        let (a, b) = (a as usize, b as usize);
        class[a].cmp(&class[b]).then(scores[b].total_cmp(&scores[a]))
    });
    let mut kept = Vec::new();
    let mut place = (None, 0);
    for row in rows {
        let of = Some(class[row as usize]);
        place = if place.0 == of { (of, place.1 + 1) } else { (of, 0) };
        if place.1 < quota {
            kept.push(row);
        }
    }
    kept.sort_unstable();
    Ok(kept)
}
