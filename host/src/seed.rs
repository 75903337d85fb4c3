//! Every random number of a run comes from here: from the run's seed, a purpose and an id, never from the order of work. All but
//! initial weights: `limbeck_models::Params` draws them from the seed and the parameter's name.
//!
//! The same image is therefore drawn whatever the batch size, the device, the number of threads or the resume point.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What random numbers are for. Two purposes never share a number. The values are part of the file format: only append; 2 and 5
/// were never in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Noise of the sampler; the stream is the sample's id.
    Noise = 1,
    /// The order of samples in an epoch; the stream is the epoch.
    Shuffle = 3,
    /// Crops, rotations, mixing; the stream is the step.
    Augment = 4,
    /// What a policy gets when it asks for random numbers.
    Policy = 6,
    /// Which rows of a data set are taken.
    Subset = 7,
    /// Which images no student learns from before the last round; the stream is the round.
    HeldOut = 8,
    /// What a network in training drops; the stream is the step.
    Dropout = 9,
    /// Images by which a teacher is tried before any are drawn.
    Probe = 10,
}

/// The random numbers of one id: ChaCha8 with the key `(seed, purpose)` and the stream `stream`.
pub fn rng(seed: u64, purpose: Purpose, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(stream);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    fn first(seed: u64, purpose: Purpose, stream: u64) -> u64 {
        rng(seed, purpose, stream).next_u64()
    }

    #[test]
    fn every_coordinate_changes_the_numbers() {
        let base = first(0, Purpose::Noise, 0);
        assert_ne!(base, first(1, Purpose::Noise, 0));
        assert_ne!(base, first(0, Purpose::Shuffle, 0));
        assert_ne!(base, first(0, Purpose::Noise, 1));
        assert_eq!(base, first(0, Purpose::Noise, 0));
    }

    #[test]
    fn numbers_are_frozen() {
        // A change here changes every image and student ever drawn: it needs a new major version.
        assert_eq!(first(0, Purpose::Noise, 0), 4_606_029_925_845_525_861);
        assert_eq!(first(7, Purpose::Shuffle, 3), 11_430_591_703_423_257_752);
    }
}
