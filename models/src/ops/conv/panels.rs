//! Convolution as a product with patches, a panel of output pixels at a time: what a few vectors of pixels read, over the
//! whole depth, is gathered into the second-level cache, and all output channels pass over it there.

use pulp::bytemuck::{cast_slice, pod_read_unaligned};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::finish::Finish;
use super::geometry::Geometry;
use super::patches::inside;
use crate::ops::cpu::{simd, threads};
use crate::ops::tile::{Planes, with_scratch};

/// Output channels that are computed together.
const OUTPUTS: usize = 8;

/// Output pixels of a panel: three of the longest vectors. 8 × 3 sums, 3 vectors and a weight fit into 32 registers.
const COLUMNS: usize = 48;
const VECTORS: usize = 3;

/// Fewest pixels of a task, so that few panels are not full.
const LEAST_COLUMNS: usize = 384;

/// A piece of a panel within one of the items (images, or rows of output pixels) that panels run across.
struct Span {
    item: usize,
    start: usize,
    len: usize,
    /// First column of the panel.
    column: usize,
}

/// Cuts `count` places from `first` on of a row of items of one length.
fn spans(first: usize, count: usize, length: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    let (mut item, mut start, mut column) = (first / length, first % length, 0);
    while column < count {
        let len = (length - start).min(count - column);
        spans.push(Span { item, start, len, column });
        (item, start, column) = (item + 1, 0, column + len);
    }
    spans
}

/// `out [n, outputs, oh, ow] = conv(x, w)`, finished.
pub(super) fn forward(g: &Geometry, x: &[f32], w: &[f32], finish: Finish<'_>, out: &mut [f32]) {
    let g = &g.flattened();
    let blocks = g.group_outputs().div_ceil(OUTPUTS);
    let images = LEAST_COLUMNS.div_ceil(g.pixels()).min(g.n);
    let parts = g.n.div_ceil(images) * g.groups;
    // Where there are fewer parts than threads, each is shared out by output channels.
    let shares = threads().div_ceil(parts).min(blocks);
    let out = Planes::new(out, g.pixels());
    with_scratch(g.groups * blocks * OUTPUTS * g.depth(), |weights| {
        interleave(g, w, weights);
        let weights = &*weights;
        (0..parts * shares).into_par_iter().for_each(|task| {
            let (part, share) = (task / shares, task % shares);
            let (images_at, group) = (part / g.groups * images, part % g.groups);
            let blocks_at = share * blocks / shares..(share + 1) * blocks / shares;
            let block = OUTPUTS * g.depth();
            let weights = &weights[group * blocks * block..][blocks_at.start * block..blocks_at.end * block];
            let columns = images_at * g.pixels()..(images_at + images).min(g.n) * g.pixels();
            let last = (group + 1) * g.group_outputs();
            let first = group * g.group_outputs() + blocks_at.start * OUTPUTS;
            with_scratch(g.depth() * COLUMNS, |patches| {
                for start in columns.clone().step_by(COLUMNS) {
                    let count = (columns.end - start).min(COLUMNS);
                    let rows = spans(start, count, g.out_width);
                    simd(
                        #[inline(always)]
                        || gather(g, x, group, &rows, patches),
                    );
                    let (channels, pieces) = (first..last, spans(start, count, g.pixels()));
                    let panel = Panel { g, patches, weights, channels, count, pieces: &pieces, finish, out: &out };
                    pulp::Arch::new().dispatch(panel);
                }
            });
        });
    });
}

/// The kernels as `[groups, blocks, depth, OUTPUTS]`; what fills up the last block of a group is zero.
fn interleave(g: &Geometry, w: &[f32], packed: &mut [f32]) {
    let (depth, outputs) = (g.depth(), g.group_outputs());
    let blocks = outputs.div_ceil(OUTPUTS);
    packed.par_chunks_mut(OUTPUTS * depth).enumerate().for_each(|(index, packed)| {
        let (group, block) = (index / blocks, index % blocks);
        let first = group * outputs + block * OUTPUTS;
        let rows = w[first * depth..(group + 1) * outputs * depth].chunks_exact(depth);
        packed.fill(0.0);
        for (row, from) in rows.take(OUTPUTS).enumerate() {
            packed[row..].iter_mut().step_by(OUTPUTS).zip(from).for_each(|(to, &from)| *to = from);
        }
    });
}

/// Writes what these rows of output pixels read: row k of `patches` has the inputs of tap k.
#[inline(always)]
fn gather(g: &Geometry, x: &[f32], group: usize, rows: &[Span], patches: &mut [f32]) {
    let plane = g.height * g.width;
    let inside: Vec<_> = (0..g.kw).map(|kx| inside(g.width, g.out_width, kx, g)).collect();
    // Where the image of each row begins, and its first row of inputs, counted with the padding.
    let places = rows.iter().map(|row| (row.item / g.out_height * g.image(), row.item % g.out_height * g.stride));
    let places: Vec<_> = places.collect();
    let count = rows.last().map_or(0, |row| row.column + row.len);
    let mut patches = patches.chunks_exact_mut(COLUMNS);
    for channel in group * g.group_inputs()..(group + 1) * g.group_inputs() {
        for ky in 0..g.kh {
            for (kx, (columns, patches)) in inside.iter().zip(&mut patches).enumerate() {
                for (row, (image, y)) in rows.iter().zip(&places) {
                    let (to, y) = (&mut patches[row.column..][..row.len], y + ky);
                    let first = columns.start.clamp(row.start, row.start + row.len);
                    let end = columns.end.clamp(first, row.start + row.len);
                    if y < g.padding || y - g.padding >= g.height || first == end {
                        to.fill(0.0);
                        continue;
                    }
                    let from = image + channel * plane + (y - g.padding) * g.width;
                    let from = &x[from + first * g.stride + kx - g.padding..];
                    if to.len() > end - first {
                        to[..first - row.start].fill(0.0);
                        to[end - row.start..].fill(0.0);
                    }
                    copy(from, g.stride, &mut to[first - row.start..end - row.start]);
                }
                patches[count..].fill(0.0);
            }
        }
    }
}

/// Every `stride`-th of `from`; `to` isn't empty. Slices of constant length become vectors.
#[inline(always)]
fn copy(from: &[f32], stride: usize, to: &mut [f32]) {
    match (stride, to.len()) {
        (1, COLUMNS) => to[..COLUMNS].copy_from_slice(&from[..COLUMNS]),
        (1, len) => to.iter_mut().zip(&from[..len]).for_each(|(to, &from)| *to = from),
        (2, len) => {
            let (pairs, last) = from[..2 * len - 1].split_at(2 * len - 2);
            to.iter_mut().zip(pairs.chunks_exact(2)).for_each(|(to, from)| *to = from[0]);
            to[len - 1] = last[0];
        }
        _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &from)| *to = from),
    }
}

/// The product for one panel.
struct Panel<'a> {
    g: &'a Geometry,
    /// `[depth, COLUMNS]`
    patches: &'a [f32],
    /// `[blocks, depth, OUTPUTS]`
    weights: &'a [f32],
    /// The output channels of these blocks; there may be more.
    channels: std::ops::Range<usize>,
    /// How many pixels there are, and where in their images.
    count: usize,
    pieces: &'a [Span],
    finish: Finish<'a>,
    out: &'a Planes<'a>,
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = self.count.div_ceil(S::F32_LANES);
        assert!(self.patches.len() >= self.g.depth() * COLUMNS && vectors * S::F32_LANES <= COLUMNS);
        let mut sums = [0.0; OUTPUTS * COLUMNS];
        let blocks = self.weights.chunks_exact(self.g.depth() * OUTPUTS);
        for (first, weights) in self.channels.clone().step_by(OUTPUTS).zip(blocks) {
            for start in (0..vectors).step_by(VECTORS) {
                match vectors - start {
                    1 => self.rows::<S, 1>(simd, weights, start, &mut sums),
                    2 => self.rows::<S, 2>(simd, weights, start, &mut sums),
                    _ => self.rows::<S, VECTORS>(simd, weights, start, &mut sums),
                }
            }
            for (channel, sums) in (first..self.channels.end).zip(sums.chunks_exact(COLUMNS)) {
                self.store(channel, sums);
            }
        }
    }
}

impl Panel<'_> {
    /// All output channels of a block, as many at a time as there are registers for.
    #[inline(always)]
    fn rows<S: Simd, const V: usize>(&self, simd: S, weights: &[f32], first: usize, sums: &mut [f32]) {
        if S::REGISTER_COUNT >= 32 {
            self.block::<S, V, OUTPUTS>(simd, weights, (0, first), sums);
        } else {
            self.block::<S, V, { OUTPUTS / 2 }>(simd, weights, (0, first), sums);
            self.block::<S, V, { OUTPUTS / 2 }>(simd, weights, (OUTPUTS / 2, first), sums);
        }
    }

    /// `R` output channels from `row` on by `V` vectors from `first` on.
    #[inline(always)]
    fn block<S: Simd, const V: usize, const R: usize>(
        &self,
        simd: S,
        weights: &[f32],
        (row, first): (usize, usize),
        sums: &mut [f32],
    ) {
        let at = |v: usize| (first + v) * S::F32_LANES;
        let mut block = [[simd.splat_f32s(0.0); V]; R];
        for (weights, pixels) in weights.chunks_exact(OUTPUTS).zip(self.patches.chunks_exact(COLUMNS)) {
            let mut loaded = [simd.splat_f32s(0.0); V];
            for (v, loaded) in loaded.iter_mut().enumerate() {
                *loaded = pod_read_unaligned(cast_slice(&pixels[at(v)..][..S::F32_LANES]));
            }
            for (block, &weight) in block.iter_mut().zip(&weights[row..row + R]) {
                let weight = simd.splat_f32s(weight);
                for (sum, &pixels) in block.iter_mut().zip(&loaded) {
                    *sum = simd.mul_add_e_f32s(weight, pixels, *sum);
                }
            }
        }
        for (r, block) in block.iter().enumerate() {
            for (v, &sum) in block.iter().enumerate() {
                simd.partial_store_f32s(&mut sums[(row + r) * COLUMNS + at(v)..][..S::F32_LANES], sum);
            }
        }
    }

    #[inline(always)]
    fn store(&self, channel: usize, sums: &[f32]) {
        let pixels = self.g.pixels();
        for span in self.pieces {
            let index = span.item * self.g.outputs + channel;
            // SAFETY: this channel of this image belongs to this task alone, which writes one piece of it at a time.
            let plane = unsafe { self.out.plane(index) };
            let (to, at) = (&mut plane[span.start..][..span.len], index * pixels + span.start);
            match span.len {
                // A length that is known makes vectors of it.
                COLUMNS => self.finish.store(&sums[..COLUMNS], channel, at, &mut to[..COLUMNS]),
                len => self.finish.store(&sums[span.column..][..len], channel, at, to),
            }
        }
    }
}
