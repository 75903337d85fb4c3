//! The three passes of a convolution on the CPU, each a matrix product over patch matrices that fit in the cache.
//!
//! Parallel over images. Every sum has an order that depends on the sizes alone, so the same input gives the same bits
//! whatever the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::depthwise;
use super::direct;
use super::finish::Finish;
use super::geometry::Geometry;
use super::panels;
use super::patches::{gather, scatter};
use super::winograd;
use crate::ops::cpu::simd;
use crate::ops::tile::{Matrix, Write, matmul, split, sum, with_scratch};

/// Floats of a patch matrix that stay in a core's second-level cache.
const PATCH_FLOATS: usize = 96 * 1024;

/// Fewest columns of a patch matrix for which the product is efficient.
const LEAST_COLUMNS: usize = 192;

/// With fewer output channels than these, gathering what a panel of pixels reads takes longer than it saves.
const FEW_OUTPUTS: usize = 32;

/// Floats in all partial kernel gradients together.
const PARTIAL_FLOATS: usize = 4 << 20;

/// Output rows of one image that are worked on at a time.
fn row_tiles(g: &Geometry) -> impl Iterator<Item = Range<usize>> + use<> {
    let columns = (PATCH_FLOATS / g.depth()).clamp(LEAST_COLUMNS, 4096);
    let (step, end) = ((columns / g.out_width).max(1), g.out_height);
    (0..end).step_by(step).map(move |start| start..(start + step).min(end))
}

/// Images whose patches form one matrix: more than one where an image has few pixels.
fn images_per_task(g: &Geometry) -> usize {
    LEAST_COLUMNS.div_ceil(g.pixels()).min(g.n.max(1))
}

/// Calls `f` with the patch matrix of output rows `rows` of one image and group.
fn with_patches<R>(g: &Geometry, image: &[f32], rows: Range<usize>, f: impl FnOnce(Matrix<'_>) -> R) -> R {
    let columns = rows.len() * g.out_width;
    if g.is_pointwise() {
        return f(Matrix::new(&image[rows.start * g.width..], g.depth(), columns, g.pixels()));
    }
    with_scratch(g.depth() * columns, |buffer| {
        simd(|| gather(g, image, rows, buffer, columns));
        f(Matrix::new(buffer, g.depth(), columns, columns))
    })
}

/// Calls `f` with one patch matrix of several whole images, side by side.
fn with_joint_patches<R>(g: &Geometry, images: &[f32], group: usize, f: impl FnOnce(Matrix<'_>) -> R) -> R {
    let count = images.len() / g.image();
    let columns = count * g.pixels();
    with_scratch(g.depth() * columns, |buffer| {
        for (i, image) in images.chunks_exact(g.image()).enumerate() {
            let channels = group_of(g, image, group);
            let part = &mut buffer[i * g.pixels()..];
            simd(|| gather(g, channels, 0..g.out_height, part, columns));
        }
        f(Matrix::new(buffer, g.depth(), columns, columns))
    })
}

/// The input channels of one group of one image.
fn group_of<'a>(g: &Geometry, image: &'a [f32], group: usize) -> &'a [f32] {
    let len = g.image() / g.groups;
    &image[group * len..][..len]
}

/// `out [n, outputs, oh, ow] = conv(x, w)`, finished.
pub(in crate::ops) fn forward(g: &Geometry, x: &[f32], w: &[f32], finish: Finish<'_>, out: &mut [f32]) {
    if winograd::suits(g) {
        winograd::forward(g, x, w, finish, out);
        // Its transform knows no ceiling, which no network asks for behind such a convolution.
        let ceiling = Finish { ceiling: finish.ceiling, ..Finish::default() };
        return ceiling.apply(out, g.outputs, g.pixels());
    }
    if depthwise::suits(g) {
        return depthwise::forward(g, x, w, finish, out);
    }
    if direct::suits(g) && g.outputs < FEW_OUTPUTS && !g.is_pointwise() {
        return direct::forward(g, x, w, finish, out);
    }
    panels::forward(g, x, w, finish, out);
}

fn kernel_of<'a>(g: &Geometry, w: &'a [f32], group: usize) -> Matrix<'a> {
    let len = g.group_outputs() * g.depth();
    Matrix::new(&w[group * len..][..len], g.group_outputs(), g.depth(), g.depth())
}

/// Pairs every plane of a group in `[images, outputs, pixels]` with its place in the matrix `[outputs, images × pixels]`.
fn for_each_line(g: &Geometry, images: usize, group: usize, mut f: impl FnMut(Range<usize>, Range<usize>)) {
    let (pixels, columns) = (g.pixels(), images * g.pixels());
    for image in 0..images {
        for channel in 0..g.group_outputs() {
            let from = image * g.out_image() + (group * g.group_outputs() + channel) * pixels;
            let onto = channel * columns + image * pixels;
            f(from..from + pixels, onto..onto + pixels);
        }
    }
}

/// The gradient of the input, `[n, inputs, h, w]`, added to `onto`.
pub(in crate::ops) fn grad_input(g: &Geometry, w: &[f32], dy: &[f32], onto: Option<&[f32]>, dx: &mut [f32]) {
    if depthwise::suits(g) {
        return depthwise::grad_input(g, w, dy, onto, dx);
    }
    if let Some(reversed) = g.reversed() {
        let turned = turned_kernel(g, w);
        return forward(&reversed, dy, &turned, Finish { residual: onto, ..Finish::default() }, dx);
    }
    if winograd::suits(g) {
        return winograd::grad_input(g, &turned_kernel(g, w), dy, Finish { residual: onto, ..Finish::default() }, dx);
    }
    match onto {
        Some(onto) => dx.copy_from_slice(onto),
        None => dx.fill(0.0),
    }
    let images = images_per_task(g);
    let tasks = dx.par_chunks_mut(images * g.image()).zip(dy.par_chunks(images * g.out_image()));
    tasks.for_each(|(dx, dy)| {
        for group in 0..g.groups {
            let kernel = kernel_of(g, w, group).transposed();
            with_joint_outputs(g, dy, group, |dy, columns| {
                with_scratch(g.depth() * columns, |patches| {
                    matmul(patches, columns, Write::Replace, kernel, dy);
                    for (i, image) in dx.chunks_exact_mut(g.image()).enumerate() {
                        let len = g.image() / g.groups;
                        let channels = &mut image[group * len..][..len];
                        let part = &patches[i * g.pixels()..];
                        simd(|| scatter(g, channels, 0..g.out_height, part, columns));
                    }
                });
            });
        }
    });
}

/// Calls `f` with a group of `[images, outputs, pixels]` as the matrix `[outputs, images × pixels]`, and its columns.
fn with_joint_outputs(g: &Geometry, dy: &[f32], group: usize, f: impl FnOnce(Matrix<'_>, usize)) {
    let images = dy.len() / g.out_image();
    let (rows, columns) = (g.group_outputs(), images * g.pixels());
    if images == 1 {
        return f(Matrix::new(&dy[group * rows * columns..], rows, columns, columns), columns);
    }
    with_scratch(rows * columns, |joint| {
        for_each_line(g, images, group, |in_images, in_joint| joint[in_joint].copy_from_slice(&dy[in_images]));
        f(Matrix::new(joint, rows, columns, columns), columns)
    })
}

/// The kernel turned by half a circle, input and output channels exchanged within each group.
fn turned_kernel(g: &Geometry, w: &[f32]) -> Vec<f32> {
    let (inputs, outputs, taps) = (g.group_inputs(), g.group_outputs(), g.kh * g.kw);
    let mut turned = vec![0.0; w.len()];
    turned.par_chunks_mut(outputs * taps).enumerate().for_each(|(row, to)| {
        let (group, input) = (row / inputs, row % inputs);
        for (output, to) in to.chunks_exact_mut(taps).enumerate() {
            let from = &w[((group * outputs + output) * inputs + input) * taps..][..taps];
            to.iter_mut().zip(from.iter().rev()).for_each(|(to, &from)| *to = from);
        }
    });
    turned
}

/// The gradient of the kernel, `[outputs, inputs / groups, kh, kw]`.
pub(in crate::ops) fn grad_kernel(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    if winograd::suits(g) {
        return winograd::grad_kernel(g, x, dy, dw);
    }
    if depthwise::suits(g) {
        return depthwise::grad_kernel(g, x, dy, dw);
    }
    let partials = (PARTIAL_FLOATS / dw.len().max(1)).clamp(2, 8);
    if direct::suits_gradient(g) {
        return direct::grad_kernel(g, x, dy, dw, partials);
    }
    let images = images_per_task(g);
    let parts = split(g.n.div_ceil(images), partials);
    let mut sums = vec![0.0; parts.len() * dw.len()];
    sums.par_chunks_mut(dw.len()).zip(&parts).for_each(|(sum, tasks)| {
        for task in tasks.clone() {
            let range = task * images..(task * images + images).min(g.n);
            let x = &x[range.start * g.image()..range.end * g.image()];
            let dy = &dy[range.start * g.out_image()..range.end * g.out_image()];
            add_grad_kernel(g, x, dy, sum);
        }
    });
    simd(|| {
        dw.copy_from_slice(&sums[..dw.len()]);
        for part in sums.chunks_exact(dw.len()).skip(1) {
            dw.iter_mut().zip(part).for_each(|(total, &v)| *total += v);
        }
    });
}

fn add_grad_kernel(g: &Geometry, x: &[f32], dy: &[f32], sum: &mut [f32]) {
    let rows = g.group_outputs();
    for (group, sum) in sum.chunks_exact_mut(rows * g.depth()).enumerate() {
        if x.len() > g.image() {
            with_joint_outputs(g, dy, group, |dy, _| {
                with_joint_patches(g, x, group, |patches| {
                    matmul(sum, g.depth(), Write::Add, dy, patches.transposed());
                });
            });
            continue;
        }
        let dy = &dy[group * rows * g.pixels()..][..rows * g.pixels()];
        for tile in row_tiles(g) {
            let (start, columns) = (tile.start * g.out_width, tile.len() * g.out_width);
            let dy = Matrix::new(&dy[start..], rows, columns, g.pixels());
            with_patches(g, group_of(g, x, group), tile, |patches| {
                matmul(sum, g.depth(), Write::Add, dy, patches.transposed());
            });
        }
    }
}

/// The gradient of the bias, `[outputs]`.
pub(super) fn grad_bias(g: &Geometry, dy: &[f32], db: &mut [f32]) {
    simd(|| {
        db.fill(0.0);
        for (i, plane) in dy.chunks_exact(g.pixels()).enumerate() {
            db[i % g.outputs] += sum(plane);
        }
    });
}
