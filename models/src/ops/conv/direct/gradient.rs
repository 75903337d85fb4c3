//! The gradient of the kernel: products of padded images with output gradients, summed over the pixels of a few images at a
//! time.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{Plan, SLACK, load, suits};
use crate::ops::conv::geometry::Geometry;
use crate::ops::tile::{split, with_scratch};

/// Output channels and taps whose gradients are computed together.
const GRAD_OUTPUTS: usize = 4;
const GRAD_TAPS: usize = 6;

/// Floats of images that stay in a core's second-level cache.
const CACHE_FLOATS: usize = 160 * 1024;

/// Pixels over which a kernel gradient is summed up before the lanes of the vectors are added: many, as that is slow.
const GRAD_PIXELS: usize = 768;

/// Whether the gradient of the kernel is summed over enough pixels at a time.
pub(in crate::ops::conv) fn suits_gradient(g: &Geometry) -> bool {
    suits(g) && images_at_once(g) * g.pixels() >= GRAD_PIXELS / 3
}

fn images_at_once(g: &Geometry) -> usize {
    let plan = Plan::new(g);
    let floats = plan.padded_len() + g.outputs * plan.pitch;
    GRAD_PIXELS.div_ceil(g.pixels()).min(CACHE_FLOATS / floats).clamp(1, g.n.max(1))
}

/// The gradient of the kernel, `[outputs, inputs, kh, kw]`.
pub(in crate::ops::conv) fn grad_kernel(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32], partials: usize) {
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
