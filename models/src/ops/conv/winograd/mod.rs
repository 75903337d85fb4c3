//! Convolution with 3×3 kernels at stride 1 by F(4×4, 3×3): 36 products for sixteen outputs instead of 144. At stride 2: 81
//! products, see `strided`.
//!
//! Tiles are transformed sixteen channels at a time. A few rows of tiles are carried all the way, so that what lies
//! between the transforms stays in the second-level cache. Every sum has an order that depends on the sizes alone.

mod blocks;
mod gradient;
mod plan;
mod product;
mod strided;
mod transform;
mod wide;

use std::ops::Range;

use rayon::prelude::*;

use self::blocks::{BLOCK, Channels, Rows, gather, scatter};
pub(super) use self::gradient::grad_kernel;
use self::plan::{Plan, Side, Spread};
use self::product::Product;
use self::transform::{Places, STEP, TILE, Transform};
use super::finish::Finish;
use super::geometry::Geometry;
use crate::ops::tile::with_scratch;

/// Output channels whose transformed kernels lie together.
const PANEL: usize = 64;

/// Kernels of a pair of channels once they are transformed.
const KERNELS: usize = TILE * TILE;

/// Whether the method pays: enough channels to fill vectors, and tiles that are mostly used.
pub(super) fn suits(g: &Geometry) -> bool {
    let tiles = g.out_height.div_ceil(STEP) * g.out_width.div_ceil(STEP);
    let strided = g.stride == 2 && g.padding == 1;
    let small = g.kh == 3 && g.kw == 3 && g.groups == 1 && (strided || g.stride == 1 && g.padding <= 2);
    small && g.inputs >= BLOCK && g.outputs >= BLOCK && 2 * g.pixels() >= tiles * STEP * STEP
}

impl Plan {
    /// Transforms the tiles of `units` of the images `x`.
    fn transform(&self, side: &Side, x: &[f32], units: Range<usize>, to: &mut [f32], spread: Spread) {
        let pitch = (self.tiles_x - 1) * side.step + side.tile;
        let pitch = pitch.max(side.padding + side.width);
        let places = Places { square: side.step * BLOCK, row: pitch * BLOCK, column: BLOCK };
        with_scratch(side.tile * pitch * BLOCK, |strip| {
            strip.fill(0.0);
            for (index, unit) in units.enumerate() {
                let (image, y) = (unit / self.tiles_y, unit % self.tiles_y * side.step);
                // Rows of the strip that lie in the image; the padding on the left is never written.
                let above = side.padding.saturating_sub(y);
                let below = (side.height + side.padding).saturating_sub(y).clamp(above, side.tile);
                strip[..above * pitch * BLOCK].fill(0.0);
                strip[below * pitch * BLOCK..].fill(0.0);
                let rows = Rows { first: above * pitch + side.padding, width: side.width, pitch };
                let plane = side.height * side.width;
                for block in 0..side.blocks() {
                    let count = (side.channels - block * BLOCK).min(BLOCK);
                    if below > above {
                        let channels = Channels { count, stride: plane, pixels: (below - above) * side.width };
                        let first = (y + above - side.padding) * side.width;
                        let from = &x[image * side.image() + block * BLOCK * plane + first..];
                        gather(from, channels, strip, rows);
                    }
                    let to = &mut to[index * self.tiles_x * spread.tile + block * spread.block..];
                    let squares = self.tiles_x;
                    let (map, to_places) = (side.map, spread.places(self.side));
                    Transform { map, squares, from: strip, from_places: places, to, to_places }.run();
                }
            }
        });
    }

    /// The transformed kernels: for each panel of outputs `[KERNELS, inputs, outputs of the panel]`.
    fn kernel(&self, w: &[f32], to: &mut [f32]) {
        let inputs = self.input.channels;
        let panels = to.par_chunks_mut(KERNELS * inputs * PANEL).zip(w.par_chunks(PANEL * inputs * 9));
        panels.for_each(|(to, w)| self.panel(w, to));
    }

    /// The transformed kernels of one panel.
    fn panel(&self, w: &[f32], to: &mut [f32]) {
        let inputs = self.input.channels;
        let (taps, width) = (inputs * 9, to.len() / (KERNELS * inputs));
        with_scratch(taps * BLOCK, |strip| {
            for (block, w) in w.chunks(BLOCK * taps).enumerate() {
                let channels = Channels { count: w.len() / taps, stride: taps, pixels: taps };
                gather(w, channels, strip, Rows { first: 0, width: taps, pitch: taps });
                let from_places = Places { square: 9 * BLOCK, row: 3 * BLOCK, column: BLOCK };
                let to_places = Places { square: width, row: TILE * inputs * width, column: inputs * width };
                let to = &mut to[block * BLOCK..];
                Transform { map: self.kernel, squares: inputs, from: strip, from_places, to, to_places }.run();
            }
        });
    }

    /// Some whole images, a few units at a time.
    fn forward(&self, x: &[f32], kernel: &[f32], finish: Finish<'_>, out: &mut [f32]) {
        let units = x.len() / self.input.image() * self.tiles_y;
        for first in (0..units).step_by(self.units()) {
            let units = first..(first + self.units()).min(units);
            let tiles = units.len() * self.tiles_x;
            let (from, to) = (Spread::rows(tiles, self.input.padded()), Spread::rows(tiles, self.output.padded()));
            with_scratch(self.frequencies() * from.pitch, |v| {
                self.transform(&self.input, x, units.clone(), v, from);
                with_scratch(self.frequencies() * to.pitch, |m| {
                    self.multiply(tiles, (v, from), kernel, (m, to));
                    let len = self.output.image();
                    self.finish(units, (m, to), self.output.channels, |image, write| {
                        let range = image * len..(image + 1) * len;
                        write(&mut out[range.clone()], finish.part(range));
                    });
                });
            });
        }
    }

    fn multiply(&self, tiles: usize, (v, from): (&[f32], Spread), kernel: &[f32], (m, to): (&mut [f32], Spread)) {
        let depth = self.input.channels;
        for f in 0..self.frequencies() {
            for (panel, kernel) in kernel.chunks(KERNELS * depth * PANEL).enumerate() {
                let width = kernel.len() / (KERNELS * depth);
                Product {
                    rows: tiles,
                    width,
                    depth,
                    a: &v[f * from.pitch..],
                    a_row: from.tile,
                    a_step: 1,
                    b: &kernel[self.kernel_of(f) * depth * width..],
                    b_step: width,
                    b_block: BLOCK,
                    out: &mut m[f * to.pitch + panel * PANEL..],
                    out_row: to.tile,
                    out_block: BLOCK,
                    add: false,
                }
                .run();
            }
        }
    }

    /// From products to pixels of `channels` outputs. `lend` calls what it is given with these planes of an image and
    /// what follows.
    fn finish<'f>(
        &self,
        units: Range<usize>,
        (m, spread): (&[f32], Spread),
        channels: usize,
        mut lend: impl FnMut(usize, &mut dyn FnMut(&mut [f32], Finish<'f>)),
    ) {
        let step = self.output.step;
        let (pitch, plane) = (self.tiles_x * step, self.output.height * self.output.width);
        let to_places = Places { square: step * BLOCK, row: pitch * BLOCK, column: BLOCK };
        let rows = Rows { first: 0, width: self.output.width, pitch };
        with_scratch(step * pitch * BLOCK, |strip| {
            for (index, unit) in units.enumerate() {
                let (image, y) = (unit / self.tiles_y, unit % self.tiles_y * step);
                lend(image, &mut |out, finish| {
                    for first in (0..channels).step_by(BLOCK) {
                        let from = &m[index * self.tiles_x * spread.tile + first / BLOCK * spread.block..];
                        let (squares, from_places) = (self.tiles_x, spread.places(self.side));
                        Transform { map: self.output.map, squares, from, from_places, to: strip, to_places }.run();
                        let count = (channels - first).min(BLOCK);
                        let pixels = (self.output.height - y).min(step) * self.output.width;
                        let at = first * plane + y * self.output.width;
                        let end = at + (count - 1) * plane + pixels;
                        let finish = finish.channels_from(first).part(at..end);
                        scatter(strip, rows, &mut out[at..end], Channels { count, stride: plane, pixels }, finish);
                    }
                });
            }
        });
    }
}

/// `out [n, outputs, oh, ow] = conv(x, w)`, finished.
pub(super) fn forward(g: &Geometry, x: &[f32], w: &[f32], finish: Finish<'_>, out: &mut [f32]) {
    run(&Plan::new(g), g.n, x, w, finish, out);
}

/// The gradient of the input of a convolution of stride 2, finished. `turned`: the kernel turned by half a circle, input and
/// output channels exchanged.
pub(super) fn grad_input(g: &Geometry, turned: &[f32], dy: &[f32], finish: Finish<'_>, dx: &mut [f32]) {
    run(&Plan::spread(g), g.n, dy, turned, finish, dx);
}

fn run(plan: &Plan, n: usize, x: &[f32], w: &[f32], finish: Finish<'_>, out: &mut [f32]) {
    if wide::suits(plan, n) {
        return wide::forward(plan, n, x, w, finish, out);
    }
    with_scratch(KERNELS * plan.input.channels * plan.output.padded(), |kernel| {
        plan.kernel(w, kernel);
        let (kernel, images) = (&*kernel, plan.images(n));
        let tasks = out.par_chunks_mut(images * plan.output.image()).zip(x.par_chunks(images * plan.input.image()));
        tasks.enumerate().for_each(|(task, (out, x))| {
            let start = task * images * plan.output.image();
            plan.forward(x, kernel, finish.part(start..start + out.len()), out);
        });
    });
}
