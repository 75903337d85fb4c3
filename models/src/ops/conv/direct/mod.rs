//! Convolution of stride 1 straight from padded images: no patch matrix is ever written.
//!
//! Output rows are computed as long as padded input rows; the few values between them are thrown away. Each tap of the
//! kernel is then a single offset into the image, for all pixels at once, and the innermost loops are those of a matrix
//! product: eight output channels by three vectors of pixels, or, for the kernel's gradient, four by six taps.

mod gradient;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

pub(super) use self::gradient::{grad_kernel, suits_gradient};
use super::finish::Finish;
use super::geometry::Geometry;
use crate::ops::tile::with_scratch;

/// Output channels that are computed together.
const OUTPUTS: usize = 8;

/// Floats in the longest vector, and so the most that is read past the end of an image.
const SLACK: usize = 16;

/// The geometry of padded images, and where each tap reads.
struct Plan {
    geometry: Geometry,
    /// Rows and columns of a padded image.
    width: usize,
    plane: usize,
    /// For each element of a kernel, in order, the offset of what it meets.
    taps: Vec<usize>,
    /// Output values with what lies between the rows, and those rounded up to whole vectors.
    length: usize,
    pitch: usize,
}

/// Whether the direct kernels are at home: stride 1, one group, and rows long enough that little is thrown away.
pub(super) fn suits(g: &Geometry) -> bool {
    let padded = g.width + 2 * g.padding;
    let length = (g.out_height - 1) * padded + g.out_width;
    g.stride == 1 && g.groups == 1 && 3 * g.pixels() >= 2 * length.next_multiple_of(SLACK)
}

impl Plan {
    fn new(g: &Geometry) -> Self {
        let (height, width) = (g.height + 2 * g.padding, g.width + 2 * g.padding);
        let plane = height * width;
        let tap = |k: usize| (k / (g.kh * g.kw)) * plane + (k / g.kw % g.kh) * width + k % g.kw;
        let length = (g.out_height - 1) * width + g.out_width;
        let taps = (0..g.depth()).map(tap).collect();
        Self { geometry: *g, width, plane, taps, length, pitch: length.next_multiple_of(SLACK) }
    }

    /// Floats of a padded image with the slack behind it.
    fn padded_len(&self) -> usize {
        self.geometry.inputs * self.plane + SLACK
    }

    /// Copies an image into `padded`, zeros around it.
    fn pad(&self, image: &[f32], padded: &mut [f32]) {
        let g = &self.geometry;
        padded.fill(0.0);
        for (from, to) in image.chunks_exact(g.height * g.width).zip(padded.chunks_exact_mut(self.plane)) {
            let rows = to.chunks_exact_mut(self.width).skip(g.padding);
            for (from, to) in from.chunks_exact(g.width).zip(rows) {
                to[g.padding..][..g.width].copy_from_slice(from);
            }
        }
    }
}

/// `out [n, outputs, oh, ow] = conv(x, w)`, finished.
pub(super) fn forward(g: &Geometry, x: &[f32], w: &[f32], finish: Finish<'_>, out: &mut [f32]) {
    let plan = Plan::new(g);
    let weights = interleaved(w, g.outputs, g.depth());
    let images = out.par_chunks_mut(g.out_image()).zip(x.par_chunks(g.image())).enumerate();
    images.for_each(|(image, (out, x))| {
        with_scratch(plan.padded_len(), |padded| {
            plan.pad(x, padded);
            with_scratch(g.outputs.next_multiple_of(OUTPUTS) * plan.pitch, |wide| {
                pulp::Arch::new().dispatch(Forward { plan: &plan, padded, weights: &weights, wide });
                for (channel, out) in out.chunks_exact_mut(g.pixels()).enumerate() {
                    let wide = &wide[channel * plan.pitch..];
                    for (y, out) in out.chunks_exact_mut(g.out_width).enumerate() {
                        out.copy_from_slice(&wide[y * plan.width..][..g.out_width]);
                    }
                }
            });
            let start = image * g.out_image();
            finish.part(start..start + out.len()).apply(out, g.outputs, g.pixels());
        });
    });
}

/// The kernel as `[blocks, depth, OUTPUTS]`, filled up with zeros.
fn interleaved(w: &[f32], outputs: usize, depth: usize) -> Vec<f32> {
    let mut packed = vec![0.0; outputs.next_multiple_of(OUTPUTS) * depth];
    packed.par_chunks_mut(OUTPUTS * depth).enumerate().for_each(|(block, packed)| {
        for (i, row) in w[block * OUTPUTS * depth..].chunks_exact(depth).take(OUTPUTS).enumerate() {
            packed.iter_mut().skip(i).step_by(OUTPUTS).zip(row).for_each(|(to, &from)| *to = from);
        }
    });
    packed
}

/// The forward pass of one image.
struct Forward<'a> {
    plan: &'a Plan,
    padded: &'a [f32],
    /// As [`interleaved`] makes them.
    weights: &'a [f32],
    /// `[outputs, pitch]`
    wide: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Plan { plane, taps, length, pitch, .. } = self.plan;
        let lanes = S::F32_LANES;
        let vectors = length.div_ceil(lanes);
        let furthest = taps.last().map_or(0, |tap| tap + vectors * lanes);
        assert!(lanes <= SLACK && furthest <= self.padded.len() && *plane > 0, "image too short for its taps");
        // 8 × 3 sums, 3 vectors of pixels and a weight fit into 32 registers; other processors have 16.
        let most = if S::REGISTER_COUNT >= 32 { 3 } else { 1 };
        let mut start = 0;
        while start < vectors {
            // Four are better done as two and two than as three and one.
            let count = match vectors - start {
                4 if most == 3 => 2,
                left => left.min(most),
            };
            for (block, weights) in self.weights.chunks_exact(taps.len() * OUTPUTS).enumerate() {
                let out = &mut self.wide[block * OUTPUTS * pitch..][..OUTPUTS * pitch];
                match count {
                    3 => forward_block::<S, 3>(simd, self.padded, taps, weights, out, *pitch, start * lanes),
                    2 => forward_block::<S, 2>(simd, self.padded, taps, weights, out, *pitch, start * lanes),
                    _ => forward_block::<S, 1>(simd, self.padded, taps, weights, out, *pitch, start * lanes),
                }
            }
            start += count;
        }
    }
}

/// `OUTPUTS` channels of `V` vectors of pixels from pixel `first` on.
#[inline(always)]
fn forward_block<S: Simd, const V: usize>(
    simd: S,
    padded: &[f32],
    taps: &[usize],
    weights: &[f32],
    out: &mut [f32],
    pitch: usize,
    first: usize,
) {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); V]; OUTPUTS];
    for (tap, weights) in taps.iter().zip(weights.chunks_exact(OUTPUTS)) {
        let pixels: [S::f32s; V] = std::array::from_fn(|v| load(padded, tap + first + v * lanes));
        for (sums, &weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(weight);
            for (sum, &pixels) in sums.iter_mut().zip(&pixels) {
                *sum = simd.mul_add_e_f32s(weight, pixels, *sum);
            }
        }
    }
    for (channel, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            simd.partial_store_f32s(&mut out[channel * pitch + first + v * lanes..][..lanes], sum);
        }
    }
}

/// A vector of floats that need not be aligned.
#[inline(always)]
fn load<V: pulp::bytemuck::Pod>(from: &[f32], at: usize) -> V {
    let bytes = size_of::<V>();
    debug_assert!(at * 4 + bytes <= size_of_val(from));
    // SAFETY: the callers check the furthest place that they read before their loops; any bytes are a vector of floats.
    unsafe { from.as_ptr().add(at).cast::<V>().read_unaligned() }
}
