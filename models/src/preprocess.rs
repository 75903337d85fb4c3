//! What stands before a classifier: resizing with antialiasing as PIL and torchvision do it, and cropping.

use serde::Deserialize;

/// The filter of a resize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// A triangle as wide as two pixels of the coarser of the two images.
    #[default]
    Bilinear,
    /// Keys' cubic with a = −0.5, as wide as four.
    Bicubic,
}

impl Interpolation {
    /// Half of the filter's width.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// Height and width after torchvision's `Resize(side)`: the shorter side becomes `side`, the longer keeps the ratio, rounded
/// down.
pub fn shorter_side((height, width): (usize, usize), side: usize) -> (usize, usize) {
    if height <= width { (side, side * width / height.max(1)) } else { (side * height / width.max(1), side) }
}

/// Resizes planes of `from` (height, width), one after the other, to `to`. Values are taken to be 0 to 1 and stay there.
///
/// Downwards the filter widens with the scale, which is what `antialias=True` means. What the cubic overshoots is cut off
/// after either pass, as PIL and torchvision do on bytes. Returns nothing for empty sizes.
pub fn resize(planes: &[f32], from: (usize, usize), to: (usize, usize), interpolation: Interpolation) -> Vec<f32> {
    if from == to {
        return planes.to_vec();
    }
    if from.0 * from.1 * to.0 * to.1 == 0 {
        return Vec::new();
    }
    let (across, down) = (taps(from.1, to.1, interpolation), taps(from.0, to.0, interpolation));
    let mut resized = Vec::with_capacity(planes.len() / (from.0 * from.1) * to.0 * to.1);
    let mut narrow = vec![0.0_f32; from.0 * to.1];
    for plane in planes.chunks_exact(from.0 * from.1) {
        for (row, narrow) in plane.chunks_exact(from.1).zip(narrow.chunks_exact_mut(to.1)) {
            for (tap, value) in across.iter().zip(narrow) {
                let sum: f32 = tap.weights.iter().zip(&row[tap.first..]).map(|(weight, value)| weight * value).sum();
                *value = sum.clamp(0.0, 1.0);
            }
        }
        for tap in &down {
            let start = resized.len();
            resized.resize(start + to.1, 0.0);
            let row = &mut resized[start..];
            for (weight, narrow) in tap.weights.iter().zip(narrow.chunks_exact(to.1).skip(tap.first)) {
                row.iter_mut().zip(narrow).for_each(|(sum, value)| *sum += weight * value);
            }
            row.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        }
    }
    resized
}

/// Where an output pixel reads, and how much of each.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// For each of `to` pixels on a line of `from`. The rounding of the window's ends is PIL's.
fn taps(from: usize, to: usize, interpolation: Interpolation) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let widen = scale.max(1.0);
    let support = interpolation.support() * widen;
    let taps = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let raw = (first..end).map(|at| interpolation.weight((at as f64 + 0.5 - centre) / widen));
        let raw: Vec<f64> = raw.collect();
        let sum: f64 = raw.iter().sum();
        Taps { first, weights: raw.into_iter().map(|weight| (weight / sum) as f32).collect() }
    };
    (0..to).map(taps).collect()
}

/// The middle `side × side` of planes of `from`; the odd pixel is cut off where torchvision's `CenterCrop` cuts it. Returns
/// nothing where the images are smaller than that.
pub fn centre_crop(planes: &[f32], from: (usize, usize), side: usize) -> Vec<f32> {
    let (Some(rows), Some(columns)) = (from.0.checked_sub(side), from.1.checked_sub(side)) else { return Vec::new() };
    if side == 0 {
        return Vec::new();
    }
    let (top, left) = (half(rows), half(columns));
    let planes = planes.chunks_exact(from.0 * from.1);
    let cropped = planes.flat_map(|plane| {
        let rows = plane.chunks_exact(from.1).skip(top).take(side);
        rows.flat_map(|row| &row[left..left + side])
    });
    cropped.copied().collect()
}

/// How much of a margin is cut off at its beginning: torchvision rounds half to even, as Python's `round` does.
fn half(margin: usize) -> usize {
    if margin % 4 == 3 { margin / 2 + 1 } else { margin / 2 }
}

/// A line of [`resize`] and [`centre_crop`] as a matrix `[side, from]`, row by row: times a line of `from` pixels it is the
/// middle `side` of the same line resized to `to`, which is at least `side`. Its user cuts off what is beyond 0 and 1.
pub fn resize_and_crop(from: usize, to: usize, side: usize, interpolation: Interpolation) -> Vec<f32> {
    let mut matrix = vec![0.0; side * from];
    let taps = taps(from, to, interpolation);
    let kept = taps.iter().skip(half(to.saturating_sub(side)));
    for (row, tap) in matrix.chunks_exact_mut(from.max(1)).zip(kept) {
        row[tap.first..][..tap.weights.len()].copy_from_slice(&tap.weights);
    }
    matrix
}
