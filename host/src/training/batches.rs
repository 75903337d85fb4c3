//! Which images each step sees: every epoch in a new order, which follows from the seed and the epoch alone.

use rand::seq::SliceRandom;

use crate::seed::{Purpose, rng};

/// The batches of a training over `images` images. The last images of an epoch that don't fill a batch wait for another
/// epoch's order; with fewer images than one batch holds, every step sees them all.
pub struct Batches {
    seed: u64,
    images: usize,
    batch: usize,
    /// The epoch that `order` is of.
    epoch: Option<u64>,
    order: Vec<usize>,
}

impl Batches {
    pub fn new(seed: u64, images: usize, batch: usize) -> Self {
        Self { seed, images, batch: batch.min(images).max(1), epoch: None, order: Vec::new() }
    }

    pub fn steps_per_epoch(&self) -> u64 {
        (self.images / self.batch).max(1) as u64
    }

    /// Images in each step.
    pub fn size(&self) -> usize {
        self.batch.min(self.images)
    }

    /// The rows of step `step`, counted from 0 over all epochs.
    pub fn rows(&mut self, step: u64) -> &[usize] {
        let epoch = step / self.steps_per_epoch();
        if self.epoch != Some(epoch) {
            self.order = (0..self.images).collect();
            self.order.shuffle(&mut rng(self.seed, Purpose::Shuffle, epoch));
            self.epoch = Some(epoch);
        }
        let first = (step % self.steps_per_epoch()) as usize * self.batch;
        &self.order[first..first + self.size()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_each_image_at_most_once() {
        let mut batches = Batches::new(3, 103, 10);
        assert_eq!((batches.steps_per_epoch(), batches.size()), (10, 10));
        let mut seen: Vec<usize> = (0..10).flat_map(|step| batches.rows(step).to_vec()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn a_step_has_the_same_rows_wherever_one_starts() {
        let mut whole = Batches::new(3, 50, 8);
        let all: Vec<_> = (0..30).map(|step| whole.rows(step).to_vec()).collect();
        for step in [29, 6, 17] {
            assert_eq!(Batches::new(3, 50, 8).rows(step), all[step as usize]);
        }
        assert_ne!(all[0], all[6], "the second epoch has an order of its own");
        assert_ne!(Batches::new(4, 50, 8).rows(0), all[0]);
    }

    #[test]
    fn few_images_are_one_batch() {
        let mut batches = Batches::new(0, 5, 64);
        assert_eq!((batches.steps_per_epoch(), batches.size(), batches.rows(7).len()), (1, 5, 5));
    }
}
