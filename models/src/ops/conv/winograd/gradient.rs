//! The gradient of the kernel: the adjoint of the forward pass, summed over tiles before the transform back.

use rayon::prelude::*;

use super::blocks::{BLOCK, Channels, Rows, scatter};
use super::product::Product;
use super::transform::{FREQUENCIES, Map, Places, TILE, Transform};
use super::{Plan, Spread};
use crate::ops::conv::finish::Finish;
use crate::ops::conv::geometry::Geometry;
use crate::ops::tile::with_scratch;

/// Tiles of one parallel task of the transforms.
const TILES: usize = 64;

/// Floats of transformed images and gradients together: they stay in the third-level cache.
const CACHE_FLOATS: usize = 3 << 20;

/// The gradient of the kernel, `[outputs, inputs, 3, 3]`.
pub(in crate::ops::conv) fn grad_kernel(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let plan = Plan::new(g);
    let (inputs, outputs) = (plan.input.padded(), plan.output.padded());
    let matrix = g.inputs * outputs;
    let (all, units) = (g.n * plan.tiles_y, TILES.div_ceil(plan.tiles_x));
    let tiles = units * plan.tiles_x;
    let (from, to) = (Spread::rows(tiles, inputs), Spread::panels(tiles, outputs));
    let (v_len, z_len) = (FREQUENCIES * from.pitch, FREQUENCIES * to.pitch);
    let at_once = (CACHE_FLOATS / (v_len + z_len)).max(2).min(all.div_ceil(units));
    with_scratch(FREQUENCIES * matrix, |sums| {
        with_scratch(at_once * v_len, |v| {
            with_scratch(at_once * z_len, |z| {
                for first in (0..all).step_by(at_once * units) {
                    let range = |block: usize| {
                        let start = (first + block * units).min(all);
                        start..(start + units).min(all)
                    };
                    let blocks = v.par_chunks_mut(v_len).zip(z.par_chunks_mut(z_len)).enumerate();
                    blocks.for_each(|(block, (v, z))| {
                        plan.transform(&plan.input, Map::Input, x, range(block), v, from);
                        plan.transform(&plan.output, Map::OutputGradient, dy, range(block), z, to);
                    });
                    let (v, z) = (&*v, &*z);
                    sums.par_chunks_mut(matrix).enumerate().for_each(|(f, sums)| {
                        for (block, (v, z)) in v.chunks(v_len).zip(z.chunks(z_len)).enumerate() {
                            Product {
                                rows: g.inputs,
                                width: outputs,
                                depth: range(block).len() * plan.tiles_x,
                                a: &v[f * from.pitch..],
                                a_row: 1,
                                a_step: from.tile,
                                b: &z[f * to.pitch..],
                                b_step: to.tile,
                                b_block: to.block,
                                out: sums,
                                out_row: BLOCK,
                                out_block: g.inputs * BLOCK,
                                add: first + block > 0,
                            }
                            .run();
                        }
                    });
                }
            });
        });
        finish(g, sums, matrix, dw);
    });
}

/// From sums over tiles, `[36, blocks of outputs, inputs, 16]`, to the kernel.
fn finish(g: &Geometry, sums: &[f32], matrix: usize, dw: &mut [f32]) {
    let taps = g.inputs * 9;
    dw.par_chunks_mut(BLOCK * taps).enumerate().for_each(|(block, dw)| {
        with_scratch(taps * BLOCK, |strip| {
            Transform {
                map: Map::KernelGradient,
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
