//! Facility location: the submodular cover of Wei, Iyer and Bilmes, "Submodularity in data subset selection and active
//! learning" (ICML 2015), maximised by the lazy greedy algorithm of Minoux (1978).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::distance::{dot, simd};
use crate::{Error, Points};

/// Points whose gains are summed up by one task.
const BLOCK: usize = 1024;

/// An upper bound of what a candidate gains; the last time it was computed, so many were chosen.
struct Bound {
    gain: f64,
    place: usize,
    chosen: usize,
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

/// At most `budget` of `candidates` that greedily make `Σ_i max_{j∈S} s_ij` largest, where `s_ij` is the cosine, or 0
/// where that is negative, and `i` runs over all candidates; a zero vector has the cosine 0 to everything. In the order of choice.
pub fn facility_location(points: &Points, candidates: &[u32], budget: usize) -> Result<Vec<u32>, Error> {
    points.check(candidates)?;
    let budget = budget.min(candidates.len());
    let units = units(points, candidates);
    let width = points.width();
    let unit = |place: usize| &units[place * width..][..width];
    let mut covered = vec![0.0_f32; candidates.len()]; // max over the chosen
    let first = (0..candidates.len()).into_par_iter().map(|place| {
        let gain = gain(&units, width, unit(place), &covered);
        Bound { gain, place, chosen: 0 }
    });
    let mut bounds: BinaryHeap<Bound> = first.collect::<Vec<_>>().into();
    let mut chosen = Vec::with_capacity(budget);
    while chosen.len() < budget {
        let Some(best) = bounds.pop() else { break };
        if best.chosen == chosen.len() {
            let centre = unit(best.place);
            let blocks = covered.par_chunks_mut(BLOCK).zip(units.par_chunks(BLOCK * width));
            blocks.for_each(|(covered, units)| {
                simd(
                    #[inline(always)]
                    || {
                        covered
                            .iter_mut()
                            .zip(units.chunks_exact(width))
                            .for_each(|(c, u)| *c = c.max(similarity(u, centre)))
                    },
                );
            });
            chosen.push(candidates[best.place]);
        } else {
            let gain = gain_shared(&units, width, unit(best.place), &covered);
            bounds.push(Bound { gain, chosen: chosen.len(), ..best });
        }
    }
    Ok(chosen)
}

#[inline(always)]
fn similarity(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b).max(0.0)
}

/// The gain of a new centre over blocks of points, each in f64; the blocks are added up in their order.
fn gain(units: &[f32], width: usize, centre: &[f32], covered: &[f32]) -> f64 {
    covered.chunks(BLOCK).zip(units.chunks(BLOCK * width)).map(|block| block_gain(block, width, centre)).sum()
}

/// The same with the blocks shared out between threads.
fn gain_shared(units: &[f32], width: usize, centre: &[f32], covered: &[f32]) -> f64 {
    let blocks = covered.par_chunks(BLOCK).zip(units.par_chunks(BLOCK * width));
    blocks.map(|block| block_gain(block, width, centre)).collect::<Vec<_>>().into_iter().sum()
}

fn block_gain((covered, units): (&[f32], &[f32]), width: usize, centre: &[f32]) -> f64 {
    simd(
        #[inline(always)]
        || {
            let pairs = covered.iter().zip(units.chunks_exact(width));
            pairs.map(|(&covered, unit)| f64::from((similarity(unit, centre) - covered).max(0.0))).sum()
        },
    )
}

/// The candidates at length one, `[candidates, width]`; zero stays zero.
pub(crate) fn units(points: &Points, candidates: &[u32]) -> Vec<f32> {
    let mut units = Vec::with_capacity(candidates.len() * points.width());
    for &row in candidates {
        let row = points.row(row);
        let length = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        units.extend(row.iter().map(|&v| (f64::from(v) * scale) as f32));
    }
    units
}
