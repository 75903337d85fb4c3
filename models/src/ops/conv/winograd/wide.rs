//! The forward pass where there are many channels and few tiles: shared out by output channels, so that the transformed
//! kernels, four times as long as the kernels, are used at once and never written to memory.

use rayon::prelude::*;

use super::plan::{Plan, Spread};
use super::{KERNELS, PANEL};
use crate::ops::conv::finish::Finish;
use crate::ops::tile::{Planes, with_scratch};

/// Fewest pairs of channels for which it pays.
const LEAST_PAIRS: usize = 128 * 256;

/// Floats of all transformed tiles: they stay in the third-level cache.
const MOST_FLOATS: usize = 3 << 20;

pub(super) fn suits(plan: &Plan, n: usize) -> bool {
    let tiles = n * plan.tiles_x * plan.tiles_y;
    plan.output.channels.is_multiple_of(PANEL)
        && plan.input.channels * plan.output.channels >= LEAST_PAIRS
        && tiles * plan.frequencies() * plan.input.padded() <= MOST_FLOATS
}

/// As [`super::forward`].
pub(super) fn forward(plan: &Plan, n: usize, x: &[f32], w: &[f32], finish: Finish<'_>, out: &mut [f32]) {
    let (all, units) = (n * plan.tiles_y, plan.units());
    let (depth, panels) = (plan.input.channels, plan.output.channels / PANEL);
    let tiles = units * plan.tiles_x;
    let (from, to) = (Spread::rows(tiles, plan.input.padded()), Spread::rows(tiles, PANEL));
    let (v_len, part) = (plan.frequencies() * from.pitch, PANEL * plan.output.height * plan.output.width);
    let range = |block: usize| block * units..((block + 1) * units).min(all);
    with_scratch(all.div_ceil(units) * v_len, |v| {
        v.par_chunks_mut(v_len).enumerate().for_each(|(block, v)| {
            plan.transform(&plan.input, x, range(block), v, from);
        });
        let (v, out) = (&*v, Planes::new(out, part));
        w.par_chunks(PANEL * depth * 9).enumerate().for_each(|(panel, w)| {
            with_scratch(KERNELS * depth * PANEL, |kernel| {
                plan.panel(w, kernel);
                with_scratch(plan.frequencies() * to.pitch, |m| {
                    for (block, v) in v.chunks(v_len).enumerate() {
                        plan.multiply(range(block).len() * plan.tiles_x, (v, from), kernel, (m, to));
                        plan.finish(range(block), (m, to), PANEL, |image, write| {
                            let index = image * panels + panel;
                            let finish = finish.channels_from(panel * PANEL).part(index * part..(index + 1) * part);
                            // SAFETY: these channels of this image belong to this task and this call alone.
                            write(unsafe { out.plane(index) }, finish);
                        });
                    }
                });
            });
        });
    });
}
