//! Herding: Welling, "Herding dynamical weights to learn" (ICML 2009), in the form of Rebuffi, Kolesnikov, Sperl and
//! Lampert, "iCaRL" (CVPR 2017), algorithm 4.

use crate::distance::{arg_max, squared};
use crate::{Error, Points};

/// At most `budget` of `candidates`, each such that the mean of those chosen comes nearest to the mean of all:
/// `argmin_f ‖(t+1) μ − Σ_{S} f_s − f‖` at the t-th choice. In the order of choice.
pub fn herding(points: &Points, candidates: &[u32], budget: usize) -> Result<Vec<u32>, Error> {
    points.check(candidates)?;
    let budget = budget.min(candidates.len());
    let mean = points.mean(candidates);
    let mut free = vec![true; candidates.len()];
    let mut wanted = mean.clone(); // (t + 1) μ − Σ f_s
    let mut chosen = Vec::with_capacity(budget);
    while chosen.len() < budget {
        let target: Vec<f32> = wanted.iter().map(|&value| value as f32).collect();
        let closest = arg_max(
            candidates,
            &mut free,
            #[inline(always)]
            |candidate, free| free.then(|| -squared(points.row(candidate), &target)),
        );
        let Some(place) = closest else { break };
        free[place] = false;
        chosen.push(candidates[place]);
        let row = points.row(candidates[place]);
        wanted.iter_mut().zip(&mean).zip(row).for_each(|((w, &mean), &f)| *w += mean - f64::from(f));
    }
    Ok(chosen)
}
