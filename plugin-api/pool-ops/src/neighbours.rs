//! Who is near whom.

use rayon::prelude::*;

use crate::distance::{dot, simd, squared};
use crate::facility_location::units;
use crate::{Error, Points};

/// The `k` of `candidates` nearest to each of `rows` by Euclidean distance, nearest first, without the row itself:
/// `[rows, k]`. Fails when there are fewer than `k` others.
pub fn k_nearest(points: &Points, rows: &[u32], candidates: &[u32], k: usize) -> Result<Vec<u32>, Error> {
    points.check(rows)?;
    points.check(candidates)?;
    let mut is_candidate = vec![false; points.rows()];
    candidates.iter().for_each(|&row| is_candidate[row as usize] = true);
    let itself = usize::from(rows.iter().any(|&row| is_candidate[row as usize]));
    if k == 0 || k > candidates.len().saturating_sub(itself) {
        let expected = "1 to the number of other candidates";
        return Err(Error::OutOfRange { what: "k", found: k.to_string(), expected });
    }
    let nearest = rows.par_iter().map(|&row| {
        let mut others: Vec<(f32, usize)> = simd(
            #[inline(always)]
            || {
                let others = candidates.iter().enumerate().filter(|&(_, &other)| other != row);
                others.map(|(place, &other)| (squared(points.row(row), points.row(other)), place)).collect()
            },
        );
        let by_distance = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        others.select_nth_unstable_by(k - 1, by_distance);
        others.truncate(k);
        others.sort_unstable_by(by_distance);
        others.into_iter().map(|(_, place)| candidates[place]).collect::<Vec<_>>()
    });
    Ok(nearest.collect::<Vec<_>>().concat())
}

/// For each of `candidates`, in order: the earlier one that it is a near-duplicate of (cosine at least `cosine`), or
/// itself where it is new. Only new ones have duplicates, so that chains don't run together.
pub fn near_duplicates(points: &Points, candidates: &[u32], cosine: f32) -> Result<Vec<u32>, Error> {
    if !(-1.0..=1.0).contains(&cosine) {
        return Err(Error::OutOfRange { what: "the cosine", found: cosine.to_string(), expected: "-1 to 1" });
    }
    points.check(candidates)?;
    let units = units(points, candidates);
    let width = points.width();
    let unit = |place: usize| &units[place * width..][..width];
    let mut new: Vec<usize> = Vec::new();
    let mut originals = Vec::with_capacity(candidates.len());
    for place in 0..candidates.len() {
        let near = |&other: &usize| {
            simd(
                #[inline(always)]
                || dot(unit(place), unit(other)) >= cosine,
            )
        };
        // The first in order, whatever the number of threads.
        let found = new.par_iter().with_min_len(256).copied().find_first(near);
        originals.push(candidates[found.unwrap_or(place)]);
        if found.is_none() {
            new.push(place);
        }
    }
    Ok(originals)
}
