//! What a weigher remembers of each image from step to step, for policies that follow a training.

use std::collections::BTreeMap;

/// `N` numbers for each image that was seen, by id. Takes about `8 + 8 N` bytes an image and some for the tree.
///
/// ```
/// use limbeck_policy::Memory;
///
/// let mut losses = Memory::<2>::default(); // times seen, loss when last seen
/// let seen = losses.of(17);
/// *seen = [seen[0] + 1.0, 0.5];
/// let bytes = losses.save();
/// let mut again = Memory::<2>::default();
/// again.restore(&bytes).unwrap();
/// assert_eq!(again.get(17), Some([1.0, 0.5]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Memory<const N: usize> {
    images: BTreeMap<u64, [f64; N]>,
}

impl<const N: usize> Default for Memory<N> {
    fn default() -> Self {
        Self { images: BTreeMap::new() }
    }
}

impl<const N: usize> Memory<N> {
    const BYTES: usize = 8 + 8 * N;

    /// How many images were seen.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether no image was seen.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The numbers of this image, all zero when it is new.
    pub fn of(&mut self, id: u64) -> &mut [f64; N] {
        self.images.entry(id).or_insert([0.0; N])
    }

    /// The numbers of this image, if it was seen.
    pub fn get(&self, id: u64) -> Option<[f64; N]> {
        self.images.get(&id).copied()
    }

    /// The numbers of every image, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (u64, [f64; N])> {
        self.images.iter().map(|(&id, &numbers)| (id, numbers))
    }

    /// The value below which the share `share`, in 0..1, of the images lie by the measure `of`; nothing where there are no
    /// images.
    pub fn quantile(&self, share: f64, of: impl Fn(&[f64; N]) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.images.values().map(of).collect();
        let place = (share * values.len() as f64) as usize;
        let place = place.min(values.len().checked_sub(1)?);
        Some(*values.select_nth_unstable_by(place, f64::total_cmp).1)
    }

    /// Everything, for [`crate::Policy::save`]: ids and numbers, little-endian.
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.images.len() * Self::BYTES);
        for (id, numbers) in &self.images {
            bytes.extend(id.to_le_bytes());
            numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        }
        bytes
    }

    /// Takes back what [`Memory::save`] gave. On an error the memory is as before.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        if !state.len().is_multiple_of(Self::BYTES) {
            return Err(format!("the state has {} bytes, expected {} for each image", state.len(), Self::BYTES));
        }
        let mut images = BTreeMap::new();
        for record in state.chunks_exact(Self::BYTES) {
            let mut words = record.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
            let id = words.next().unwrap_or_default();
            let mut numbers = [0.0; N];
            numbers.iter_mut().zip(words).for_each(|(number, word)| *number = f64::from_bits(word));
            if numbers.iter().any(|number| !number.is_finite()) {
                return Err(format!("the state of image {id} holds numbers that are not finite"));
            }
            images.insert(id, numbers);
        }
        self.images = images;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_comes_back_as_it_was() {
        let mut memory = Memory::<3>::default();
        *memory.of(9) = [1.0, -2.5, 1e-300];
        *memory.of(u64::MAX) = [0.0; 3];
        let mut again = Memory::default();
        again.restore(&memory.save()).unwrap();
        assert_eq!((again.len(), &again), (2, &memory));
    }

    #[test]
    fn quantiles_split_the_images() {
        let mut memory = Memory::<1>::default();
        assert_eq!(memory.quantile(0.5, |numbers| numbers[0]), None);
        (0..10).for_each(|id| *memory.of(id) = [(9 - id) as f64]);
        let quantile = |share| memory.quantile(share, |numbers| numbers[0]);
        assert_eq!((quantile(0.0), quantile(0.3), quantile(1.0)), (Some(0.0), Some(3.0), Some(9.0)));
    }

    #[test]
    fn what_is_no_memory_is_refused_and_changes_nothing() {
        let mut memory = Memory::<1>::default();
        *memory.of(1) = [5.0];
        assert!(memory.restore(&[0; 15]).unwrap_err().contains("15 bytes, expected 16"));
        let mut bytes = memory.save();
        bytes[8..].copy_from_slice(&f64::NAN.to_le_bytes());
        assert!(memory.restore(&bytes).unwrap_err().contains("not finite"));
        assert_eq!(memory.get(1), Some([5.0]));
    }
}
