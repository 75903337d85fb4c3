//! Convolution of stride 1 straight from padded images: no patch matrix is ever written.
//!
//! Output rows are computed as long as padded input rows; the few values between them are thrown away. Each tap of the
//! kernel is then a single offset into the image, for all pixels at once, and the innermost loops are those of a matrix
//! product: eight output channels by three vectors of pixels, or, for the kernel's gradient, four by six taps.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::finish::Finish;
use super::geometry::Geometry;
use crate::ops::tile::{split, with_scratch};

/// Output channels that are computed together.
const OUTPUTS: usize = 8;

/// Output channels and taps whose gradients are computed together.
const GRAD_OUTPUTS: usize = 4;
const GRAD_TAPS: usize = 6;

/// Floats in the longest vector, and so the most that is read past the end of an image.
const SLACK: usize = 16;

/// Floats of images that stay in a core's second-level cache.
const CACHE_FLOATS: usize = 160 * 1024;

/// Pixels over which a kernel gradient is summed up before the lanes of the vectors are added: many, as that is slow.
const GRAD_PIXELS: usize = 768;

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

/// Whether the gradient of the kernel is summed over enough pixels at a time.
pub(super) fn suits_gradient(g: &Geometry) -> bool {
    suits(g) && images_at_once(g) * g.pixels() >= GRAD_PIXELS / 3
}

fn images_at_once(g: &Geometry) -> usize {
    let plan = Plan::new(g);
    let floats = plan.padded_len() + g.outputs * plan.pitch;
    GRAD_PIXELS.div_ceil(g.pixels()).min(CACHE_FLOATS / floats).clamp(1, g.n.max(1))
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

/// The gradient of the kernel, `[outputs, inputs, kh, kw]`.
pub(super) fn grad_kernel(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32], partials: usize) {
    let plan = Plan::new(g);
    let images = images_at_once(g);
    let parts = split(g.n.div_ceil(images), partials);
    let mut sums = vec![0.0; parts.len() * dw.len()];
    sums.par_chunks_mut(dw.len()).zip(&parts).for_each(|(sum, tasks)| {
        for task in tasks.clone() {
            add_grad_kernel(&plan, x, dy, task * images..(task * images + images).min(g.n), sum);
        }
    });
    dw.fill(0.0);
    for part in sums.chunks_exact(dw.len()) {
        dw.iter_mut().zip(part).for_each(|(total, &v)| *total += v);
    }
}

/// Adds what the images of `range` contribute.
fn add_grad_kernel(plan: &Plan, x: &[f32], dy: &[f32], range: Range<usize>, sum: &mut [f32]) {
    let g = &plan.geometry;
    let (padded_len, wide_len) = (plan.padded_len(), g.outputs * plan.pitch);
    with_scratch(range.len() * padded_len, |padded| {
        with_scratch(range.len() * wide_len, |wide| {
            for (i, image) in range.clone().enumerate() {
                plan.pad(&x[image * g.image()..][..g.image()], &mut padded[i * padded_len..][..padded_len]);
                widen(plan, &dy[image * g.out_image()..][..g.out_image()], &mut wide[i * wide_len..][..wide_len]);
            }
            pulp::Arch::new().dispatch(GradKernel { plan, padded, wide, images: range.len(), sum });
        });
    });
}

/// Spreads the output gradient to rows as long as padded input rows, zeros between them.
fn widen(plan: &Plan, dy: &[f32], wide: &mut [f32]) {
    let g = &plan.geometry;
    wide.fill(0.0);
    for (from, to) in dy.chunks_exact(g.pixels()).zip(wide.chunks_exact_mut(plan.pitch)) {
        for (y, from) in from.chunks_exact(g.out_width).enumerate() {
            to[y * plan.width..][..g.out_width].copy_from_slice(from);
        }
    }
}

/// The kernel gradient of a few images.
struct GradKernel<'a> {
    plan: &'a Plan,
    padded: &'a [f32],
    wide: &'a [f32],
    images: usize,
    sum: &'a mut [f32],
}

impl WithSimd for GradKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (plan, depth) = (self.plan, self.plan.taps.len());
        let outputs = plan.geometry.outputs;
        for first_output in (0..outputs).step_by(GRAD_OUTPUTS) {
            for first_tap in (0..depth).step_by(GRAD_TAPS) {
                // Beyond the end the last one is computed again, and not kept.
                let rows: [usize; GRAD_OUTPUTS] = std::array::from_fn(|i| (first_output + i).min(outputs - 1));
                let taps: [usize; GRAD_TAPS] = std::array::from_fn(|i| plan.taps[(first_tap + i).min(depth - 1)]);
                let sums = self.block(simd, rows, taps);
                for (row, sums) in (first_output..outputs).zip(sums) {
                    let to = self.sum[row * depth..(row + 1) * depth].iter_mut().skip(first_tap);
                    to.zip(sums).for_each(|(to, sum)| *to += simd.reduce_sum_f32s(sum));
                }
            }
        }
    }
}

impl GradKernel<'_> {
    #[inline(always)]
    fn block<S: Simd>(
        &self,
        simd: S,
        rows: [usize; GRAD_OUTPUTS],
        taps: [usize; GRAD_TAPS],
    ) -> [[S::f32s; GRAD_TAPS]; GRAD_OUTPUTS] {
        let (plan, lanes) = (self.plan, S::F32_LANES);
        let (padded_len, wide_len) = (plan.padded_len(), plan.geometry.outputs * plan.pitch);
        let mut sums = [[simd.splat_f32s(0.0); GRAD_TAPS]; GRAD_OUTPUTS];
        for image in 0..self.images {
            let padded = &self.padded[image * padded_len..][..padded_len];
            let wide = &self.wide[image * wide_len..][..wide_len];
            let vectors = plan.length.div_ceil(lanes);
            let furthest = taps.iter().max().map_or(0, |tap| tap + vectors * lanes);
            assert!(lanes <= SLACK && furthest <= padded_len, "image too short for its taps");
            for at in (0..vectors).map(|v| v * lanes) {
                let gradients: [S::f32s; GRAD_OUTPUTS] = std::array::from_fn(|i| load(wide, rows[i] * plan.pitch + at));
                for (tap, column) in taps.into_iter().zip(0..GRAD_TAPS) {
                    let pixels: S::f32s = load(padded, tap + at);
                    for (sums, &gradient) in sums.iter_mut().zip(&gradients) {
                        sums[column] = simd.mul_add_e_f32s(gradient, pixels, sums[column]);
                    }
                }
            }
        }
        sums
    }
}
