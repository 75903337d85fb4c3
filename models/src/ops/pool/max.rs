//! The largest value of each window. The gradient goes to the first of them.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::window::Window;
use super::{overlapping, taps};
use crate::ops::cpu::{applies, simd};
use crate::ops::tile::{view, with_scratch, with_view};

/// The largest value of each `kernel × kernel` window, windows `stride` apart, `[n, c, h, w]` → `[n, c, oh, ow]` with
/// `oh = (h + 2·padding − kernel) / stride + 1`. Padding never wins. The gradient goes to the first largest value.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let window = Window::new(x.dims(), kernel, stride, padding)?;
    if applies(x) {
        return x.apply_op1(MaxPool(window));
    }
    taps::max_pool(x, &window)
}

/// The largest value of each window, `[n, c, h, w]` → `[n, c, oh, ow]`.
pub fn forward(window: &Window, x: &[f32], y: &mut [f32]) {
    let sizes = (window.plane(), window.out_plane());
    if is_pairs(window) {
        let pool = |x: &[f32], y: &mut [f32]| {
            for (y, windows) in y.chunks_exact_mut(window.out_width).zip(pairs(window, x)) {
                y.iter_mut().zip(windows).for_each(|(y, w)| *y = larger(larger(w[0], w[1]), larger(w[2], w[3])));
            }
        };
        return window.planes(x, y, pool, sizes);
    }
    let pairs = y.par_chunks_mut(sizes.1).zip(x.par_chunks(sizes.0));
    pairs.with_min_len(16).for_each(|(y, x)| {
        with_scratch(window.width, |line| {
            simd(
                #[inline(always)]
                || overlapping::largest(window, x, line, y),
            );
        });
    });
}

/// The gradient of the input, in place of what is in `dx`, from input, output and the output's gradient.
pub fn backward(window: &Window, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let planes = dx.par_chunks_mut(window.plane()).zip(x.par_chunks(window.plane()));
    let outputs = y.par_chunks(window.out_plane()).zip(dy.par_chunks(window.out_plane()));
    let planes = planes.zip(outputs).with_min_len(16);
    if is_pairs(window) {
        planes.for_each(|((dx, x), (_, dy))| {
            dx.fill(0.0);
            simd(
                #[inline(always)]
                || spread_pairs(window, x, dy, dx),
            );
        });
    } else {
        planes.for_each(|((dx, x), outputs)| overlapping::spread(window, x, outputs, dx));
    }
}

struct MaxPool(Window);

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = self.0.out_shape(layout);
        let mut y = vec![0.0; shape.elem_count()];
        forward(&self.0, &view(x, layout)?, &mut y);
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let mut dx = vec![0.0; x.elem_count()];
        with_view(x, |x| with_view(y, |y| with_view(dy, |dy| backward(&self.0, x, y, dy, &mut dx))))???;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

/// The larger of two values; not a number if one of them isn't.
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// Whether `x` is the largest value of its window, `most`.
#[inline(always)]
pub fn is_largest(x: f32, most: f32) -> bool {
    (x == most) | (x.is_nan() & most.is_nan())
}

/// Whether the windows are 2×2, side by side: the common case, which has a faster loop.
fn is_pairs(window: &Window) -> bool {
    (window.kernel, window.stride, window.padding) == (2, 2, 0)
}

/// The four inputs of each 2×2 window of a plane, row after row of windows.
#[inline(always)]
fn pairs<'a>(
    window: &Window,
    plane: &'a [f32],
) -> impl Iterator<Item = impl Iterator<Item = [f32; 4]> + use<'a>> + use<'a> {
    let columns = 2 * window.out_width;
    plane.chunks_exact(2 * window.width).map(move |rows| {
        let (upper, lower) = rows.split_at(rows.len() / 2);
        let windows = upper[..columns].chunks_exact(2).zip(lower[..columns].chunks_exact(2));
        windows.map(|(upper, lower)| [upper[0], upper[1], lower[0], lower[1]])
    })
}

/// Hands each 2×2 window's gradient to its first largest value.
#[inline(always)]
fn spread_pairs(window: &Window, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let rows = dx.chunks_exact_mut(2 * window.width).zip(dy.chunks_exact(window.out_width)).zip(pairs(window, x));
    for ((dx, dy), windows) in rows {
        let (upper, lower) = dx.split_at_mut(window.width);
        let targets = upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2));
        for ((w, &dy), (upper, lower)) in windows.zip(dy).zip(targets) {
            let most = larger(larger(w[0], w[1]), larger(w[2], w[3]));
            let first = is_largest(w[0], most);
            let second = !first && is_largest(w[1], most);
            let third = !first && !second && is_largest(w[2], most);
            let pick = |taken: bool| if taken { dy } else { 0.0 };
            (upper[0], upper[1]) = (pick(first), pick(second));
            (lower[0], lower[1]) = (pick(third), pick(!first && !second && !third));
        }
    }
}
