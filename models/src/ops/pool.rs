//! Maximum and average pooling of NCHW images with a CPU gradient. On other devices candle's own.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{applies, simd};
use super::tile::{sum, view, with_scratch, with_view};

/// The largest value of each `kernel × kernel` window, windows `stride` apart, `[n, c, h, w]` → `[n, c, oh, ow]` with
/// `oh = (h + 2·padding − kernel) / stride + 1`. Padding never wins. The gradient goes to the first largest value.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let window = Window::new(x.dims(), kernel, stride, padding)?;
    if applies(x) {
        return x.apply_op1(MaxPool(window));
    }
    if padding > 0 {
        // candle pads nothing here: surround the images with a value below all of theirs.
        let lowest = x.min_all()?.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>()?;
        let shifted = (x - f64::from(lowest))?;
        let padded =
            shifted.pad_with_zeros(D::Minus1, padding, padding)?.pad_with_zeros(D::Minus2, padding, padding)?;
        return padded.max_pool2d_with_stride(kernel, stride)? + f64::from(lowest);
    }
    x.max_pool2d_with_stride(kernel, stride)
}

/// The mean of each `kernel × kernel` window, windows `stride` apart, no padding.
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let window = Window::new(x.dims(), kernel, stride, 0)?;
    if applies(x) { x.apply_op1(AvgPool(window)) } else { x.avg_pool2d_with_stride(kernel, stride) }
}

/// `torch.nn.AdaptiveAvgPool2d(size)`: output row `i` is the mean of input rows `⌊i·h/size⌋` to `⌈(i+1)·h/size⌉`, columns
/// likewise; `[n, c, h, w]` → `[n, c, size, size]`. Images smaller than `size` are stretched.
pub fn adaptive_avg_pool2d(x: &Tensor, size: usize) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    if (h, w) == (size, size) {
        return Ok(x.clone());
    }
    if size == 0 || h == 0 || w == 0 {
        bail!("images {:?} can't be averaged into {size} × {size}", x.dims())
    }
    // Means of ranges of rows are a matrix product from the left, of columns one from the right.
    let means = |from: usize| -> Result<Tensor> {
        let mut matrix = vec![0.0_f32; size * from];
        for (i, row) in matrix.chunks_exact_mut(from).enumerate() {
            let range = i * from / size..((i + 1) * from).div_ceil(size);
            let share = 1.0 / range.len() as f32;
            row[range].fill(share);
        }
        Tensor::from_vec(matrix, (size, from), x.device())?.to_dtype(x.dtype())
    };
    let columns = x.reshape((n * c * h, w))?.matmul(&means(w)?.t()?)?; // [n·c·h, size]
    let columns = columns.reshape((n * c, h, size))?;
    let rows = means(h)?.broadcast_left(n * c)?.contiguous()?.matmul(&columns)?; // [n·c, size, size]
    rows.reshape((n, c, size, size))
}

/// The mean of each plane, `[n, c, h, w]` → `[n, c]`.
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    let (n, c, _, _) = x.dims4()?;
    if applies(x) {
        return x.apply_op1(GlobalAvgPool);
    }
    x.reshape((n, c, ()))?.mean(D::Minus1)
}

/// The sizes of a pooling.
#[derive(Clone, Copy)]
pub(super) struct Window {
    kernel: usize,
    stride: usize,
    padding: usize,
    height: usize,
    width: usize,
    pub out_height: usize,
    pub out_width: usize,
}

impl Window {
    /// Of images `dims`, `[n, c, h, w]`.
    pub fn new(dims: &[usize], kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        let &[_, _, height, width] = dims else { bail!("pooling takes images [n, c, h, w], found {dims:?}") };
        if kernel == 0 || stride == 0 || 2 * padding > kernel || height.min(width) + 2 * padding < kernel {
            bail!("pooling {dims:?} with kernel {kernel}, stride {stride}, padding {padding} is not possible")
        }
        let out = |size: usize| (size + 2 * padding - kernel) / stride + 1;
        Ok(Self { kernel, stride, padding, height, width, out_height: out(height), out_width: out(width) })
    }

    fn plane(&self) -> usize {
        self.height * self.width
    }

    fn out_plane(&self) -> usize {
        self.out_height * self.out_width
    }

    fn out_shape(&self, layout: &Layout) -> Shape {
        Shape::from((layout.dims()[0], layout.dims()[1], self.out_height, self.out_width))
    }

    /// The input rows of the windows in output row `oy`.
    #[inline(always)]
    fn rows(&self, oy: usize) -> Range<usize> {
        let start = (oy * self.stride).saturating_sub(self.padding);
        start..(oy * self.stride + self.kernel - self.padding).min(self.height)
    }

    /// The input columns of the windows in output column `ox`.
    #[inline(always)]
    fn columns(&self, ox: usize) -> Range<usize> {
        let start = (ox * self.stride).saturating_sub(self.padding);
        start..(ox * self.stride + self.kernel - self.padding).min(self.width)
    }

    /// The input positions of output window (oy, ox), row by row.
    #[inline(always)]
    fn inputs(&self, oy: usize, ox: usize) -> impl Iterator<Item = usize> + use<> {
        let (columns, width) = (self.columns(ox), self.width);
        self.rows(oy).flat_map(move |y| columns.clone().map(move |x| y * width + x))
    }

    /// Calls `f` with every output position and its window's coordinates.
    #[inline(always)]
    fn for_each(&self, mut f: impl FnMut(usize, usize, usize)) {
        for oy in 0..self.out_height {
            for ox in 0..self.out_width {
                f(oy * self.out_width + ox, oy, ox);
            }
        }
    }

    /// Runs `f` on every pair of planes, in parallel.
    fn planes(&self, from: &[f32], onto: &mut [f32], f: impl Fn(&[f32], &mut [f32]) + Sync, sizes: (usize, usize)) {
        if sizes.0 == 0 || sizes.1 == 0 {
            return;
        }
        let pairs = onto.par_chunks_mut(sizes.1).zip(from.par_chunks(sizes.0));
        pairs.with_min_len(16).for_each(|(onto, from)| simd(|| f(from, onto)));
    }

    /// Whether the windows are 2×2, side by side: the common case, which has a faster loop.
    fn is_pairs(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (2, 2, 0)
    }

    /// The four inputs of each 2×2 window of a plane, row after row of windows.
    #[inline(always)]
    fn pairs<'a>(&self, plane: &'a [f32]) -> impl Iterator<Item = impl Iterator<Item = [f32; 4]> + use<'a>> + use<'a> {
        let columns = 2 * self.out_width;
        plane.chunks_exact(2 * self.width).map(move |rows| {
            let (upper, lower) = rows.split_at(rows.len() / 2);
            let windows = upper[..columns].chunks_exact(2).zip(lower[..columns].chunks_exact(2));
            windows.map(|(upper, lower)| [upper[0], upper[1], lower[0], lower[1]])
        })
    }

    /// Which of `out` output positions have an input at tap `k` of their window, out of `size`; and the first such input.
    #[inline(always)]
    fn span(&self, k: usize, size: usize, out: usize) -> (Range<usize>, usize) {
        let first = self.padding.saturating_sub(k).div_ceil(self.stride).min(out);
        let end = (size + self.padding).saturating_sub(k).div_ceil(self.stride).clamp(first, out);
        (first..end, (first * self.stride + k).saturating_sub(self.padding))
    }

    /// The largest value of each window of a plane. `line`: a row of the input.
    #[inline(always)]
    fn largest(&self, x: &[f32], line: &mut [f32], y: &mut [f32]) {
        for (oy, y) in y.chunks_exact_mut(self.out_width).enumerate() {
            let (first, rest) =
                x[self.rows(oy).start * self.width..self.rows(oy).end * self.width].split_at(self.width);
            line.copy_from_slice(first);
            for row in rest.chunks_exact(self.width) {
                line.iter_mut().zip(row).for_each(|(most, &x)| *most = larger(*most, x));
            }
            y.fill(f32::NEG_INFINITY);
            for kx in 0..self.kernel {
                let (columns, start) = self.span(kx, self.width, self.out_width);
                let y = &mut y[columns];
                // Chunks of constant length become vectors.
                match self.stride {
                    _ if y.is_empty() => {}
                    1 => y.iter_mut().zip(&line[start..]).for_each(|(y, &x)| *y = larger(*y, x)),
                    2 => y.iter_mut().zip(line[start..].chunks(2)).for_each(|(y, x)| *y = larger(*y, x[0])),
                    stride => {
                        y.iter_mut().zip(line[start..].iter().step_by(stride)).for_each(|(y, &x)| *y = larger(*y, x))
                    }
                }
            }
        }
    }

    /// Hands each window's gradient to its first largest value.
    #[inline(always)]
    fn spread(&self, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
        dx.fill(0.0);
        let windows = y.chunks_exact(self.out_width).zip(dy.chunks_exact(self.out_width)).enumerate();
        for (oy, (y, dy)) in windows {
            let rows = self.rows(oy);
            for (ox, (&most, &dy)) in y.iter().zip(dy).enumerate() {
                let columns = self.columns(ox);
                let mut at = rows.start * self.width + columns.start;
                // From the last to the first, without a branch that the processor would have to guess.
                for row in rows.clone().rev() {
                    let start = row * self.width + columns.start;
                    for (i, &x) in x[start..][..columns.len()].iter().enumerate().rev() {
                        let hit = x == most || (x.is_nan() && most.is_nan());
                        at = if hit { start + i } else { at };
                    }
                }
                dx[at] += dy;
            }
        }
    }
}

/// The largest value of each window, `[n, c, h, w]` → `[n, c, oh, ow]`.
pub(super) fn max_forward(window: &Window, x: &[f32], y: &mut [f32]) {
    let sizes = (window.plane(), window.out_plane());
    if window.is_pairs() {
        let pool = |x: &[f32], y: &mut [f32]| {
            for (y, windows) in y.chunks_exact_mut(window.out_width).zip(window.pairs(x)) {
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
                || window.largest(x, line, y),
            );
        });
    });
}

/// The gradient of the input, in place of what is in `dx`, from input, output and the output's gradient.
pub(super) fn max_backward(window: &Window, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let planes = dx.par_chunks_mut(window.plane()).zip(x.par_chunks(window.plane()));
    let outputs = y.par_chunks(window.out_plane()).zip(dy.par_chunks(window.out_plane()));
    planes.zip(outputs).with_min_len(16).for_each(|((dx, x), (y, dy))| {
        simd(
            #[inline(always)]
            || {
                if window.is_pairs() {
                    dx.fill(0.0);
                    spread_pairs(window, x, dy, dx);
                } else {
                    window.spread(x, y, dy, dx);
                }
            },
        );
    });
}

struct MaxPool(Window);

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = self.0.out_shape(layout);
        let mut y = vec![0.0; shape.elem_count()];
        max_forward(&self.0, &view(x, layout)?, &mut y);
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let mut dx = vec![0.0; x.elem_count()];
        with_view(x, |x| with_view(y, |y| with_view(dy, |dy| max_backward(&self.0, x, y, dy, &mut dx))))???;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

/// The larger of two values; not a number if one of them isn't.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// Hands each 2×2 window's gradient to its first largest value.
#[inline(always)]
fn spread_pairs(window: &Window, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let rows = dx.chunks_exact_mut(2 * window.width).zip(dy.chunks_exact(window.out_width)).zip(window.pairs(x));
    for ((dx, dy), windows) in rows {
        let (upper, lower) = dx.split_at_mut(window.width);
        let targets = upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2));
        for ((w, &dy), (upper, lower)) in windows.zip(dy).zip(targets) {
            let most = larger(larger(w[0], w[1]), larger(w[2], w[3]));
            let first = w[0] == most;
            let second = !first && w[1] == most;
            let third = !first && !second && w[2] == most;
            let pick = |taken: bool| if taken { dy } else { 0.0 };
            (upper[0], upper[1]) = (pick(first), pick(second));
            (lower[0], lower[1]) = (pick(third), pick(!first && !second && !third));
        }
    }
}

struct AvgPool(Window);

impl CustomOp1 for AvgPool {
    fn name(&self) -> &'static str {
        "avg-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (window, shape) = (self.0, self.0.out_shape(layout));
        let scale = 1.0 / (window.kernel * window.kernel) as f32;
        let mut y = vec![0.0; shape.elem_count()];
        let pool = |x: &[f32], y: &mut [f32]| {
            window.for_each(|o, oy, ox| y[o] = scale * window.inputs(oy, ox).map(|i| x[i]).sum::<f32>());
        };
        window.planes(&view(x, layout)?, &mut y, pool, (window.plane(), window.out_plane()));
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let window = self.0;
        let scale = 1.0 / (window.kernel * window.kernel) as f32;
        let mut dx = vec![0.0; x.elem_count()];
        let spread = |dy: &[f32], dx: &mut [f32]| {
            window.for_each(|o, oy, ox| window.inputs(oy, ox).for_each(|i| dx[i] += scale * dy[o]));
        };
        with_view(dy, |dy| window.planes(dy, &mut dx, spread, (window.out_plane(), window.plane())))?;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

/// The mean of each plane of so many pixels.
pub(super) fn plane_means(x: &[f32], pixels: usize) -> Vec<f32> {
    let planes = x.par_chunks(pixels).with_min_len(64);
    planes.map(|plane| simd(|| sum(plane)) / pixels as f32).collect()
}

struct GlobalAvgPool;

impl CustomOp1 for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global-avg-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let means = if h * w > 0 { plane_means(&view(x, layout)?, h * w) } else { vec![0.0; n * c] };
        Ok((CpuStorage::F32(means), Shape::from((n, c))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, h, w) = x.dims4()?;
        let mut dx = vec![0.0; x.elem_count()];
        if h * w > 0 {
            with_view(dy, |dy| {
                let planes = dx.par_chunks_mut(h * w).zip(dy).with_min_len(64);
                planes.for_each(|(dx, &dy)| dx.fill(dy / (h * w) as f32));
            })?;
        }
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}
