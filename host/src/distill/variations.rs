//! The batches of a student, varied and mixed ahead of time.

use std::sync::{Arc, Mutex};

use limbeck_images::Feed;

use super::arms::Arm;
use crate::Result;
use crate::plan::Plan;
use crate::seed::{Purpose, rng};
use crate::training::{Augment, Augmented, Batches, spare_workers};

/// What one step sees.
pub struct Batch {
    /// The images, by their rows in the arm.
    pub rows: Vec<usize>,
    pub varied: Augmented,
}

/// The batches of the steps from `first` to `total`. All that is random follows from the seed and the step alone.
///
/// With a bound number of variations, each follows from the image and the epoch alone, the same for every student, so that
/// the teacher needs to be asked once for each.
pub fn feed(plan: &Plan, arm: &Arc<Arm>, seed: u64, first: u64, total: u64) -> Result<Feed<Result<Batch>>> {
    let augment = Augment::new(&plan.distill.augment).alone();
    let bound = plan.distill.cache.as_ref().map_or(0, |cache| u64::from(cache.variations));
    let bound = if augment.is_identity() { 0 } else { bound };
    let (arm, run_seed) = (Arc::clone(arm), plan.run.seed);
    let batches = Batches::new(seed, arm.data.len(), plan.distill.batch);
    let steps_per_epoch = batches.steps_per_epoch();
    let batches = Mutex::new(batches);
    let make = move |step| {
        let rows = batches.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).rows(step).to_vec();
        let varied = if bound == 0 {
            augment.batch(&arm.data, &rows, &mut rng(seed, Purpose::Augment, step))?
        } else {
            let variation = step / steps_per_epoch % bound;
            let one = |&row: &usize| {
                let stream = arm.ids[row].wrapping_mul(bound).wrapping_add(variation);
                augment.batch(&arm.data, &[row], &mut rng(run_seed, Purpose::Augment, stream))
            };
            Augmented::join(&rows.iter().map(one).collect::<Result<Vec<_>>>()?)?
        };
        Ok(Batch { rows, varied })
    };
    Ok(Feed::start(first, total, spare_workers(), make)?)
}
