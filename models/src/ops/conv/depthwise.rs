//! Depthwise convolution: one kernel a channel.
//!
//! A padded plane is cut into `stride²` phases, so that at any stride a tap of the kernel is one offset for all pixels at
//! once. Output rows are as long as rows of a phase; the few values between them are thrown away. All three passes are
//! sums over taps of products with a shifted plane, parallel over planes or channels.

use pulp::bytemuck::{cast_slice, pod_read_unaligned};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::finish::Finish;
use super::geometry::Geometry;
use crate::ops::cpu::simd;
use crate::ops::tile::with_scratch;

/// Floats of the longest vector, and so the most that is read past the end of a plane.
const SLACK: usize = 16;

/// Vectors of pixels that are summed up together.
const VECTORS: usize = 8;

/// Taps whose gradients are summed up together.
const TAPS: usize = 9;

/// Planes of one task at least.
const LEAST_PLANES: usize = 4;

pub(super) fn suits(g: &Geometry) -> bool {
    g.groups > 1 && g.groups == g.inputs && g.groups == g.outputs && g.stride < 8
}

/// A plane in phases: element (y, x) of the padded plane is element (y / stride, x / stride) of phase
/// (y mod stride, x mod stride).
struct Phases {
    geometry: Geometry,
    /// Rows and columns of a phase, and floats of all with the slack.
    rows: usize,
    pitch: usize,
    len: usize,
    /// Output values with what lies between the rows, in whole vectors.
    wide: usize,
}

impl Phases {
    fn new(g: &Geometry) -> Self {
        let rows = (g.height + 2 * g.padding).div_ceil(g.stride);
        let pitch = (g.width + 2 * g.padding).div_ceil(g.stride);
        let wide = ((g.out_height - 1) * pitch + g.out_width).next_multiple_of(SLACK);
        Self { geometry: *g, rows, pitch, len: g.stride * g.stride * rows * pitch + SLACK, wide }
    }

    /// Where phase (y, x) begins.
    fn phase(&self, y: usize, x: usize) -> usize {
        (y * self.geometry.stride + x) * self.rows * self.pitch
    }

    /// For each element of the kernel the offset of what it meets.
    fn taps(&self) -> Vec<usize> {
        let (stride, kw) = (self.geometry.stride, self.geometry.kw);
        let tap =
            |(ky, kx): (usize, usize)| self.phase(ky % stride, kx % stride) + ky / stride * self.pitch + kx / stride;
        (0..self.geometry.kh * kw).map(|tap| (tap / kw, tap % kw)).map(tap).collect()
    }

    /// Writes a plane as phases, zeros around it.
    #[inline(always)]
    fn cut(&self, plane: &[f32], phases: &mut [f32]) {
        let Geometry { width, stride, padding, .. } = self.geometry;
        phases.fill(0.0);
        for (y, from) in plane.chunks_exact(width).enumerate() {
            let y = y + padding;
            for phase in 0..stride {
                // The first column of the image in this phase.
                let first = (phase + stride - padding % stride) % stride;
                let start = self.phase(y % stride, phase) + y / stride * self.pitch + (padding + first) / stride;
                let from = &from[first.min(width)..];
                let to = &mut phases[start..][..from.len().div_ceil(stride)];
                match stride {
                    1 => to.copy_from_slice(from),
                    2 => to.iter_mut().zip(from.chunks(2)).for_each(|(to, from)| *to = from[0]),
                    _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &from)| *to = from),
                }
            }
        }
    }
}

/// `out = conv(x, w)`, finished.
pub(super) fn forward(g: &Geometry, x: &[f32], w: &[f32], finish: Finish<'_>, out: &mut [f32]) {
    let (phases, kernel) = (Phases::new(g), g.kh * g.kw);
    let taps = phases.taps();
    let planes = out.par_chunks_mut(g.pixels()).zip(x.par_chunks(g.height * g.width)).enumerate();
    planes.with_min_len(LEAST_PLANES).for_each(|(index, (out, x))| {
        let channel = index % g.outputs;
        with_scratch(phases.len, |cut| {
            simd(|| phases.cut(x, cut));
            with_scratch(phases.wide, |wide| {
                let w = &w[channel * kernel..][..kernel];
                pulp::Arch::new().dispatch(Correlate { from: cut, taps: &taps, w, to: wide });
                simd(
                    #[inline(always)]
                    || {
                        for (y, out) in out.chunks_exact_mut(g.out_width).enumerate() {
                            let sums = &wide[y * phases.pitch..][..g.out_width];
                            finish.store(sums, channel, index * g.pixels() + y * g.out_width, out);
                        }
                    },
                );
            });
        });
    });
}

/// `to[i] = Σ w[t] · from[i + taps[t]]`; `to` is whole vectors.
struct Correlate<'a> {
    from: &'a [f32],
    taps: &'a [usize],
    w: &'a [f32],
    to: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let step = VECTORS * S::F32_LANES;
        let mut parts = self.to.chunks_exact_mut(step);
        let mut start = 0;
        for to in &mut parts {
            correlate::<S, VECTORS>(simd, &self.from[start..], (self.taps, self.w), to);
            start += step;
        }
        for to in parts.into_remainder().chunks_exact_mut(S::F32_LANES) {
            correlate::<S, 1>(simd, &self.from[start..], (self.taps, self.w), to);
            start += S::F32_LANES;
        }
    }
}

#[inline(always)]
fn correlate<S: Simd, const V: usize>(simd: S, from: &[f32], (taps, w): (&[usize], &[f32]), to: &mut [f32]) {
    let mut sums = [simd.splat_f32s(0.0); V];
    for (&tap, &w) in taps.iter().zip(w) {
        let w = simd.splat_f32s(w);
        for (sum, from) in sums.iter_mut().zip(from[tap..][..V * S::F32_LANES].chunks_exact(S::F32_LANES)) {
            *sum = simd.mul_add_e_f32s(w, pod_read_unaligned(cast_slice(from)), *sum);
        }
    }
    for (to, sum) in to.chunks_exact_mut(S::F32_LANES).zip(sums) {
        simd.partial_store_f32s(to, sum);
    }
}

/// The gradient of the input, added to `onto`. Each phase of it is a sum over the taps that meet it.
pub(super) fn grad_input(g: &Geometry, w: &[f32], dy: &[f32], onto: Option<&[f32]>, dx: &mut [f32]) {
    let (phases, kernel) = (Phases::new(g), g.kh * g.kw);
    let (stride, kw) = (g.stride, g.kw);
    // Zeros before the first output row and column, for the taps that reach behind it.
    let (above, before) = ((g.kh - 1) / stride, (kw - 1) / stride);
    let pitch = phases.pitch + before;
    let wide = (phases.rows * pitch).next_multiple_of(SLACK);
    let margin = above * pitch + before;
    let meets = |y: usize, x: usize| {
        let all = (0..kernel).map(|tap| (tap, tap / kw, tap % kw));
        all.filter(move |(_, ky, kx)| ky % stride == y && kx % stride == x)
            .map(move |(tap, ky, kx)| (tap, margin - ky / stride * pitch - kx / stride))
            .unzip::<usize, usize, Vec<_>, Vec<_>>()
    };
    let phase_taps: Vec<_> = (0..stride * stride).map(|i| meets(i / stride, i % stride)).collect();
    let planes = dx.par_chunks_mut(g.height * g.width).zip(dy.par_chunks(g.pixels())).enumerate();
    planes.with_min_len(LEAST_PLANES).for_each(|(index, (dx, dy))| {
        let w = &w[index % g.outputs * kernel..][..kernel];
        let onto = onto.map(|onto| &onto[index * dx.len()..][..dx.len()]);
        // Output rows may be fewer than those of a phase, or, with much padding, more than the taps use.
        with_scratch(margin + (phases.rows.max(g.out_height) + 1) * pitch + SLACK, |spread| {
            spread.fill(0.0);
            for (y, dy) in dy.chunks_exact(g.out_width).enumerate() {
                spread[(y + above) * pitch + before..][..g.out_width].copy_from_slice(dy);
            }
            with_scratch(wide, |sums| {
                for (phase, (which, taps)) in phase_taps.iter().enumerate() {
                    let w: Vec<f32> = which.iter().map(|&tap| w[tap]).collect();
                    pulp::Arch::new().dispatch(Correlate { from: spread, taps, w: &w, to: sums });
                    let (py, px) = (phase / stride, phase % stride);
                    let first = (px + stride - g.padding % stride) % stride;
                    for (y, dx) in dx.chunks_exact_mut(g.width).enumerate() {
                        if (y + g.padding) % stride == py && first < g.width {
                            let sums = &sums[(y + g.padding) / stride * pitch + (first + g.padding) / stride..];
                            let to = &mut dx[first..];
                            match stride {
                                1 => to.copy_from_slice(&sums[..to.len()]),
                                2 => to.chunks_mut(2).zip(sums).for_each(|(to, &sum)| to[0] = sum),
                                _ => to.iter_mut().step_by(stride).zip(sums).for_each(|(to, &sum)| *to = sum),
                            }
                        }
                    }
                }
            });
        });
        for (dx, onto) in dx.iter_mut().zip(onto.unwrap_or_default()) {
            *dx += onto;
        }
    });
}

/// The gradient of the kernel, `[channels, 1, kh, kw]`: summed over the images in their order.
pub(super) fn grad_kernel(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let phases = Phases::new(g);
    let taps = phases.taps();
    dw.par_chunks_mut(g.kh * g.kw).enumerate().for_each(|(channel, dw)| {
        dw.fill(0.0);
        with_scratch(phases.len, |cut| {
            with_scratch(phases.wide, |wide| {
                wide.fill(0.0);
                for image in 0..g.n {
                    let index = image * g.outputs + channel;
                    simd(|| phases.cut(&x[index * g.height * g.width..][..g.height * g.width], cut));
                    for (y, dy) in dy[index * g.pixels()..][..g.pixels()].chunks_exact(g.out_width).enumerate() {
                        wide[y * phases.pitch..][..g.out_width].copy_from_slice(dy);
                    }
                    pulp::Arch::new().dispatch(Dots { from: cut, taps: &taps, dy: wide, dw });
                }
            });
        });
    });
}

/// `dw[t] += Σ dy[i] · from[i + taps[t]]`; `dy` is whole vectors.
struct Dots<'a> {
    from: &'a [f32],
    taps: &'a [usize],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (taps, dw) in self.taps.chunks(TAPS).zip(self.dw.chunks_mut(TAPS)) {
            // Beyond the end the last one is computed again, and not kept.
            let taps: [usize; TAPS] = std::array::from_fn(|i| taps[i.min(taps.len() - 1)]);
            let mut sums = [simd.splat_f32s(0.0); TAPS];
            for (start, dy) in (0..).step_by(S::F32_LANES).zip(self.dy.chunks_exact(S::F32_LANES)) {
                let dy: S::f32s = pod_read_unaligned(cast_slice(dy));
                for (sum, tap) in sums.iter_mut().zip(taps) {
                    let from = &self.from[start + tap..][..S::F32_LANES];
                    *sum = simd.mul_add_e_f32s(dy, pod_read_unaligned(cast_slice(from)), *sum);
                }
            }
            dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw += simd.reduce_sum_f32s(sum));
        }
    }
}
