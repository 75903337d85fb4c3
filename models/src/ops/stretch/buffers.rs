//! Memory of images and gradients that goes from one step to the next without being filled with zeros in between.

use std::cell::RefCell;

use rayon::prelude::*;

/// Floats of one parallel copy or addition.
const CHUNK: usize = 1 << 16;

thread_local! {
    static KEPT: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// `len` floats with arbitrary content.
pub(super) fn take(len: usize) -> Vec<f32> {
    let fits = |buffer: &Vec<f32>| (len..=2 * len).contains(&buffer.capacity());
    let found = KEPT.with_borrow_mut(|kept| {
        let best = (0..kept.len()).filter(|&i| fits(&kept[i])).min_by_key(|&i| kept[i].capacity());
        best.map(|i| kept.swap_remove(i))
    });
    let mut buffer = found.unwrap_or_default();
    buffer.resize(len, 0.0);
    buffer
}

/// Keeps a buffer for [`take`].
pub(super) fn give(buffer: Vec<f32>) {
    KEPT.with_borrow_mut(|kept| kept.push(buffer));
}

/// A copy in a buffer.
pub(super) fn copy(from: &[f32]) -> Vec<f32> {
    let mut to = take(from.len());
    to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| to.copy_from_slice(from));
    to
}

/// Adds `gradient` to what is known of a value's; gives the buffer back.
pub(super) fn add(sum: &mut Option<Vec<f32>>, gradient: Vec<f32>) {
    let Some(sum) = sum else {
        *sum = Some(gradient);
        return;
    };
    let pairs = sum.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
    pairs.for_each(|(sum, gradient)| sum.iter_mut().zip(gradient).for_each(|(sum, v)| *sum += v));
    give(gradient);
}
