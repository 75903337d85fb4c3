//! Which images the students of a round learn from, and which are held out to measure them.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom;
use serde::Deserialize;

use super::subset_file;
use crate::plan::Plan;
use crate::pool::{Pool, Sample};
use crate::progress::counted;
use crate::run_dir::RunDir;
use crate::seed::{Purpose, rng};
use crate::{Error, Result};

/// What is read here of `subset/round-RRR.json`.
#[derive(Deserialize)]
struct Subset {
    kept: Vec<u64>,
}

/// The images of one round that the selection kept, in the order of ids.
pub fn kept(run: &RunDir, round: u32) -> Result<Vec<Sample>> {
    let file = subset_file(round);
    let subset: Subset = run.read_json(&file)?.ok_or_else(|| {
        Error::input(format!(
            "`{}` is not there: `limbeck run` with the run's recipe makes it",
            run.join(&file).display()
        ))
    })?;
    let kept: BTreeSet<u64> = subset.kept.into_iter().collect();
    let mut pool = Pool::read(run, round)?;
    pool.samples.retain(|sample| kept.contains(&sample.id));
    if pool.samples.is_empty() || pool.samples.len() != kept.len() {
        return Err(Error::input(format!(
            "`{}` keeps {}, of which the pool has {}: remove it, and `limbeck run` makes it anew",
            run.join(&file).display(),
            counted(kept.len(), "image"),
            pool.samples.len()
        )));
    }
    Ok(pool.samples)
}

/// The kept images of all rounds up to this one: those to learn from, and those held out of them, each in the order of
/// ids. In the last round nothing is held out.
pub fn kept_so_far(plan: &Plan, run: &RunDir, round: u32) -> Result<(Pool, Pool)> {
    let (mut learn, mut held) = (Pool::default(), Pool::default());
    let share = plan.rounds.as_ref().filter(|_| !plan.is_last(round)).map_or(0.0, |rounds| rounds.held_out);
    for round in 0..=round {
        let (more, held_out) = split(kept(run, round)?, share, plan.run.seed, round);
        learn.samples.extend(more);
        held.samples.extend(held_out);
    }
    Ok((learn, held))
}

/// Takes `share` of the images of each class out at random, rounded down, at least 1 where there are two: what is left,
/// and what was taken. The same images are taken whenever it is asked.
pub fn split(samples: Vec<Sample>, share: f32, seed: u64, round: u32) -> (Vec<Sample>, Vec<Sample>) {
    if share <= 0.0 {
        return (samples, Vec::new());
    }
    let mut classes = BTreeMap::<u32, Vec<u64>>::new();
    samples.iter().for_each(|sample| classes.entry(sample.class).or_default().push(sample.id));
    let mut random = rng(seed, Purpose::HeldOut, round.into());
    let mut held = BTreeSet::<u64>::new();
    for ids in classes.values_mut() {
        ids.shuffle(&mut random);
        let wanted = (f64::from(share) * ids.len() as f64) as usize;
        held.extend(&ids[..wanted.max(1).min(ids.len() - 1)]);
    }
    samples.into_iter().partition(|sample| !held.contains(&sample.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Image, Provenance};

    fn sample(id: u64, class: u32) -> Sample {
        let image = Image { channels: 1, height: 1, width: 1, pixels: vec![0] };
        let provenance = Provenance::of_class(class);
        Sample { id, class, image, provenance }
    }

    fn ids(samples: &[Sample]) -> Vec<u64> {
        samples.iter().map(|sample| sample.id).collect()
    }

    #[test]
    fn a_share_of_each_class_is_held_out_and_the_same_ones_each_time() {
        let all: Vec<_> = (0..13).map(|id| sample(id, u32::from(id >= 10))).collect();
        let (learn, held) = split(all.clone(), 0.2, 7, 1);
        let of_first = held.iter().filter(|sample| sample.class == 0).count();
        assert_eq!((learn.len(), held.len(), of_first), (10, 3, 2), "20 % of 10, and at least 1 of 3");
        assert_eq!(ids(&split(all.clone(), 0.2, 7, 1).1), ids(&held));
        assert_ne!(ids(&split(all, 0.2, 7, 2).1), ids(&held), "each round has its own");
    }

    #[test]
    fn the_only_image_of_a_class_is_learnt_from() {
        let (learn, held) = split(vec![sample(0, 0), sample(1, 1), sample(2, 1)], 0.9, 0, 0);
        assert_eq!((ids(&learn).len(), held.len(), held[0].class), (2, 1, 1));
        assert_eq!(split(vec![sample(0, 0)], 0.0, 0, 0).1.len(), 0);
    }
}
