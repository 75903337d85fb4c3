//! The mean of windows, of ranges and of whole planes.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::taps;
use super::window::Window;
use crate::ops::cpu::{applies, simd};
use crate::ops::tile::{sum, view, with_view};

/// The mean of each `kernel × kernel` window, windows `stride` apart, no padding.
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let window = Window::new(x.dims(), kernel, stride, 0)?;
    if applies(x) { x.apply_op1(AvgPool(window)) } else { taps::avg_pool(x, &window) }
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
pub fn plane_means(x: &[f32], pixels: usize) -> Vec<f32> {
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
