//! Convolution with 3×3 kernels at stride 1 by F(4×4, 3×3): 36 products for sixteen outputs instead of 144. At stride 2: 81
//! products, see `strided`.
//!
//! Tiles are transformed sixteen channels at a time. A few rows of tiles are carried all the way, so that what lies
//! between the transforms stays in the second-level cache. Every sum has an order that depends on the sizes alone.

mod blocks;
mod gradient;
mod product;
mod strided;
mod transform;
mod wide;

use std::ops::Range;

use rayon::prelude::*;

use self::blocks::{BLOCK, Channels, Rows, gather, scatter};
pub(super) use self::gradient::grad_kernel;
use self::product::Product;
use self::transform::{Map, Places, STEP, STRIDED_TILE, TILE, Transform};
use super::finish::Finish;
use super::geometry::Geometry;
use crate::ops::tile::with_scratch;

/// Output channels whose transformed kernels lie together.
const PANEL: usize = 64;

/// Kernels of a pair of channels once they are transformed.
const KERNELS: usize = TILE * TILE;

/// Tiles that are worked on together, at most and at least.
const MOST_TILES: usize = 48;
const LEAST_TILES: usize = 24;

/// Floats of transformed inputs and outputs that stay in a core's second-level cache.
const CACHE_FLOATS: usize = 200 * 1024;

/// Whether the method pays: enough channels to fill vectors, and tiles that are mostly used.
pub(super) fn suits(g: &Geometry) -> bool {
    let tiles = g.out_height.div_ceil(STEP) * g.out_width.div_ceil(STEP);
    let strided = g.stride == 2 && g.padding == 1;
    let small = g.kh == 3 && g.kw == 3 && g.groups == 1 && (strided || g.stride == 1 && g.padding <= 2);
    small && g.inputs >= BLOCK && g.outputs >= BLOCK && 2 * g.pixels() >= tiles * STEP * STEP
}

/// Images on one side of the convolution, cut into tiles of side `tile`, one every `step` pixels.
#[derive(Clone, Copy)]
struct Side {
    channels: usize,
    height: usize,
    width: usize,
    padding: usize,
    tile: usize,
    step: usize,
    map: Map,
}

impl Side {
    fn blocks(&self) -> usize {
        self.channels.div_ceil(BLOCK)
    }

    /// Channels with those that fill up the last block.
    fn padded(&self) -> usize {
        self.blocks() * BLOCK
    }

    fn image(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Where a transformed tile goes: frequency f, tile t and channel block b at `f * pitch + t * tile + b * block`.
#[derive(Clone, Copy)]
struct Spread {
    pitch: usize,
    tile: usize,
    block: usize,
}

impl Spread {
    /// A row of all channels a tile.
    fn rows(tiles: usize, channels: usize) -> Self {
        // The odd block keeps the frequencies apart in a cache of few ways.
        Self { pitch: tiles * channels + BLOCK, tile: channels, block: BLOCK }
    }

    /// A matrix of all tiles a block.
    fn panels(tiles: usize, channels: usize) -> Self {
        Self { block: tiles * BLOCK, tile: BLOCK, ..Self::rows(tiles, channels) }
    }

    /// `side` frequencies along each axis.
    fn places(self, side: usize) -> Places {
        Places { square: self.tile, row: side * self.pitch, column: self.pitch }
    }
}

/// One convolution cut into tiles. A unit of work is one row of tiles of one image.
struct Plan {
    input: Side,
    output: Side,
    kernel: Map,
    tiles_x: usize,
    tiles_y: usize,
    /// Frequencies along each axis.
    side: usize,
}

impl Plan {
    fn new(g: &Geometry) -> Self {
        let Geometry { inputs, outputs, height, width, out_height, out_width, padding, .. } = *g;
        let strided = g.stride == 2;
        let (side, from, to, kernel) = if strided {
            (STRIDED_TILE, Map::StridedInput, Map::StridedOutput, Map::StridedKernel)
        } else {
            (TILE, Map::Input, Map::Output, Map::Kernel)
        };
        let step = g.stride * STEP;
        Self {
            input: Side { channels: inputs, height, width, padding, tile: side, step, map: from },
            output: Side {
                channels: outputs,
                height: out_height,
                width: out_width,
                padding: 0,
                tile: STEP,
                step: STEP,
                map: to,
            },
            kernel,
            tiles_x: out_width.div_ceil(STEP),
            tiles_y: out_height.div_ceil(STEP),
            side,
        }
    }

    /// From the gradient of the output of a convolution of stride 2 to that of its input.
    fn spread(g: &Geometry) -> Self {
        let forward = Self::new(g);
        let input = Side { tile: STEP + 1, map: Map::SpreadInput, ..forward.output };
        let output = Side { padding: 0, tile: 2 * STEP, map: Map::SpreadOutput, ..forward.input };
        Self { input, output, ..forward }
    }

    fn frequencies(&self) -> usize {
        self.side * self.side
    }

    /// Which kernel frequency `f` is multiplied with: along an axis, the last are all products with one tap.
    fn kernel_of(&self, f: usize) -> usize {
        (f / self.side).min(TILE - 1) * TILE + (f % self.side).min(TILE - 1)
    }

    /// Tiles that are carried through all steps at a time.
    fn tiles(&self) -> usize {
        let channels = self.input.padded() + self.output.padded();
        (CACHE_FLOATS / (self.frequencies() * channels)).clamp(LEAST_TILES, MOST_TILES)
    }

    /// Images of one parallel task, so many that an even number of nearly equal tasks comes out.
    fn images(&self, n: usize) -> usize {
        let images = (self.tiles() / (self.tiles_x * self.tiles_y)).max(1);
        n.div_ceil(n.div_ceil(images).next_multiple_of(2)).max(1)
    }

    /// Units whose tiles are about [`Self::tiles`].
    fn units(&self) -> usize {
        (self.tiles() / self.tiles_x).max(1)
    }

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
