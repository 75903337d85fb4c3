//! The gradient of the kernel: the adjoint of the forward pass, summed over tiles before the transform back.

use std::ops::Range;

use rayon::prelude::*;

use super::KERNELS;
use super::blocks::{BLOCK, Channels, Rows, scatter};
use super::plan::{Plan, Spread};
use super::product::Product;
use super::transform::{Map, Places, TILE, Transform};
use crate::ops::conv::finish::Finish;
use crate::ops::conv::geometry::Geometry;
use crate::ops::tile::{split, with_scratch};

/// Tiles of one parallel task of the transforms.
const TILES: usize = 64;

/// Floats of transformed images and gradients together: they stay in the third-level cache.
const CACHE_FLOATS: usize = 3 << 20;

/// Most floats of sums of which there may be several.
const OWN_FLOATS: usize = 600 * 1024;

/// Parts of the images that have sums of their own, by the floats of one's sums: more would share out better where there are
/// many threads, and take longer to add up.
fn parts(sums: usize) -> usize {
    if sums > 200 * 1024 { 4 } else { 8 }
}

/// Tiles that a part carries at a time.
const OWN_TILES: usize = 48;

/// The gradient of the kernel, `[outputs, inputs, 3, 3]`.
pub(in crate::ops::conv) fn grad_kernel(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let task = Gradient::new(g, x, dy);
    if KERNELS * task.matrix <= OWN_FLOATS { task.by_images(dw) } else { task.by_frequencies(dw) }
}

struct Gradient<'a> {
    g: &'a Geometry,
    plan: Plan,
    x: &'a [f32],
    dy: &'a [f32],
    /// Floats of the sums of a frequency.
    matrix: usize,
    /// Units in all.
    all: usize,
}

impl<'a> Gradient<'a> {
    fn new(g: &'a Geometry, x: &'a [f32], dy: &'a [f32]) -> Self {
        let mut plan = Plan::new(g);
        plan.output.map = if g.stride == 2 { Map::StridedOutputGradient } else { Map::OutputGradient };
        let (matrix, all) = (g.inputs * plan.output.padded(), g.n * plan.tiles_y);
        Self { g, plan, x, dy, matrix, all }
    }

    /// How the transformed images and gradients of some tiles lie.
    fn spreads(&self, tiles: usize) -> (Spread, Spread) {
        (Spread::rows(tiles, self.plan.input.padded()), Spread::panels(tiles, self.plan.output.padded()))
    }

    fn transform(&self, units: Range<usize>, (v, from): (&mut [f32], Spread), (z, to): (&mut [f32], Spread)) {
        self.plan.transform(&self.plan.input, self.x, units.clone(), v, from);
        self.plan.transform(&self.plan.output, self.dy, units, z, to);
    }

    /// The products of the frequencies of kernel `k` over some units, added to or instead of what is in `out`.
    fn multiply(
        &self,
        k: usize,
        units: usize,
        (v, from): (&[f32], Spread),
        (z, to): (&[f32], Spread),
        out: &mut [f32],
        mut add: bool,
    ) {
        for f in (0..self.plan.frequencies()).filter(|&f| self.plan.kernel_of(f) == k) {
            Product {
                rows: self.g.inputs,
                width: self.plan.output.padded(),
                depth: units * self.plan.tiles_x,
                a: &v[f * from.pitch..],
                a_row: 1,
                a_step: from.tile,
                b: &z[f * to.pitch..],
                b_step: to.tile,
                b_block: to.block,
                out: &mut *out,
                out_row: BLOCK,
                out_block: self.g.inputs * BLOCK,
                add,
            }
            .run();
            add = true;
        }
    }

    /// Shared out by images, so that all between the transforms and the sums stays in the second-level cache: for few channels.
    fn by_images(&self, dw: &mut [f32]) {
        let units = OWN_TILES.div_ceil(self.plan.tiles_x);
        let (from, to) = self.spreads(units * self.plan.tiles_x);
        let len = KERNELS * self.matrix;
        let parts = split(self.all, parts(len));
        with_scratch(parts.len() * len, |sums| {
            sums.par_chunks_mut(len).zip(&parts).for_each(|(sums, part)| {
                with_scratch(self.plan.frequencies() * from.pitch, |v| {
                    with_scratch(self.plan.frequencies() * to.pitch, |z| {
                        for first in part.clone().step_by(units) {
                            let units = first..(first + units).min(part.end);
                            self.transform(units.clone(), (v, from), (z, to));
                            for (k, sums) in sums.chunks_exact_mut(self.matrix).enumerate() {
                                self.multiply(k, units.len(), (v, from), (z, to), sums, first > part.start);
                            }
                        }
                    });
                });
            });
            let (total, rest) = sums.split_at_mut(len);
            total.par_chunks_mut(self.matrix).enumerate().for_each(|(k, total)| {
                for part in rest.chunks_exact(len) {
                    total.iter_mut().zip(&part[k * self.matrix..]).for_each(|(total, &v)| *total += v);
                }
            });
            finish(self.g, total, self.matrix, dw);
        });
    }

    /// Shared out by frequencies, which need no sums but their own: for many channels.
    fn by_frequencies(&self, dw: &mut [f32]) {
        let units = TILES.div_ceil(self.plan.tiles_x);
        let (from, to) = self.spreads(units * self.plan.tiles_x);
        let (v_len, z_len) = (self.plan.frequencies() * from.pitch, self.plan.frequencies() * to.pitch);
        let at_once = (CACHE_FLOATS / (v_len + z_len)).max(2).min(self.all.div_ceil(units));
        with_scratch(KERNELS * self.matrix, |sums| {
            with_scratch(at_once * v_len, |v| {
                with_scratch(at_once * z_len, |z| {
                    for first in (0..self.all).step_by(at_once * units) {
                        let range = |block: usize| {
                            let start = (first + block * units).min(self.all);
                            start..(start + units).min(self.all)
                        };
                        let blocks = v.par_chunks_mut(v_len).zip(z.par_chunks_mut(z_len)).enumerate();
                        blocks.for_each(|(block, (v, z))| self.transform(range(block), (v, from), (z, to)));
                        let (v, z) = (&*v, &*z);
                        sums.par_chunks_mut(self.matrix).enumerate().for_each(|(k, sums)| {
                            for (block, (v, z)) in v.chunks(v_len).zip(z.chunks(z_len)).enumerate() {
                                let (units, add) = (range(block).len(), first + block > 0);
                                self.multiply(k, units, (v, from), (z, to), sums, add);
                            }
                        });
                    }
                });
            });
            finish(self.g, sums, self.matrix, dw);
        });
    }
}

/// From sums over tiles, `[36, blocks of outputs, inputs, 16]`, to the kernel.
fn finish(g: &Geometry, sums: &[f32], matrix: usize, dw: &mut [f32]) {
    let taps = g.inputs * 9;
    dw.par_chunks_mut(BLOCK * taps).enumerate().for_each(|(block, dw)| {
        with_scratch(taps * BLOCK, |strip| {
            Transform {
                map: if g.stride == 2 { Map::StridedKernelGradient } else { Map::KernelGradient },
                squares: g.inputs,
                from: &sums[block * g.inputs * BLOCK..],
                from_places: Places { square: BLOCK, row: TILE * matrix, column: matrix },
                to: strip,
                to_places: Places { square: 9 * BLOCK, row: 3 * BLOCK, column: BLOCK },
            }
            .run();
            let channels = Channels { count: dw.len() / taps, stride: taps, pixels: taps };
            scatter(strip, Rows { first: 0, width: taps, pitch: taps }, dw, channels, Finish::default());
        });
    });
}
