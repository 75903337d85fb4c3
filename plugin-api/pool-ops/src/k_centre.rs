//! k-centre greedy: Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach" (ICLR
//! 2018), algorithm 1; a 2-approximation of the smallest radius within which every point has a centre (Gonzalez 1985).

use crate::distance::{arg_max, squared};
use crate::{Error, Points};

/// At most `budget` of `candidates`, each the farthest from those chosen before it: `argmax_i min_{j∈S} ‖f_i − f_j‖`. The
/// first is the one nearest to the mean of the `candidates`. In the order of choice.
pub fn k_centre(points: &Points, candidates: &[u32], budget: usize) -> Result<Vec<u32>, Error> {
    points.check(candidates)?;
    let budget = budget.min(candidates.len());
    let mean: Vec<f32> = points.mean(candidates).into_iter().map(|value| value as f32).collect();
    // The squared distance to the nearest centre; none once it is a centre itself.
    let mut nearest: Vec<Option<f32>> = vec![Some(f32::INFINITY); candidates.len()];
    let mut chosen = Vec::with_capacity(budget);
    let mut last: &[f32] = &mean;
    while chosen.len() < budget {
        let is_first = chosen.is_empty();
        let farthest = arg_max(
            candidates,
            &mut nearest,
            #[inline(always)]
            |candidate, nearest| {
                let distance = squared(points.row(candidate), last);
                // The mean is no centre: it only says where to begin.
                if is_first {
                    return Some(-distance);
                }
                let closer = (*nearest)?.min(distance);
                *nearest = Some(closer);
                Some(closer)
            },
        );
        let Some(place) = farthest else { break };
        nearest[place] = None;
        chosen.push(candidates[place]);
        last = points.row(candidates[place]);
    }
    Ok(chosen)
}
