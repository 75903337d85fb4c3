//! Windows over NCHW images with candle's operations, for devices that have no kernel here: the values at one place of every
//! window are a view of the images, a tap.
//!
//! Candle's own pooling has a gradient only for windows side by side, and scales that of the maximum wrongly.

use candle_core::{Result, Tensor};

use super::window::Window;

/// The largest value of each window. The gradient goes to the first of them.
pub fn max_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    // Below everything, so that padding never wins.
    let x = surrounded(x, window, f32::MIN)?;
    let largest = x.detach().max_pool2d_with_stride(window.kernel, window.stride)?;
    let largest = largest.narrow(2, 0, window.out_height)?.narrow(3, 0, window.out_width)?.contiguous()?;
    if !x.track_op() {
        return Ok(largest);
    }
    let mut left = largest.ones_like()?;
    let mut sum = largest.zeros_like()?;
    for tap in taps(&x, window)? {
        let taken = (tap.detach().eq(&largest)?.to_dtype(left.dtype())? * &left)?;
        left = (left - &taken)?;
        sum = (sum + tap * taken)?;
    }
    Ok(sum)
}

/// The mean of each window.
pub fn avg_pool(x: &Tensor, window: &Window) -> Result<Tensor> {
    let taps = taps(&surrounded(x, window, 0.0)?, window)?;
    let (first, rest) = taps.split_at(1);
    let sum = rest.iter().try_fold(first[0].clone(), |sum, tap| sum + tap)?;
    sum / (window.kernel * window.kernel) as f64
}

/// How many rows of `stride` pixels the windows of so many outputs span.
fn blocks(window: &Window, out: usize) -> usize {
    out + (window.kernel - 1) / window.stride
}

/// The images in a frame of `value`: padded, then cut or filled up to whole blocks of `stride` pixels.
fn surrounded(x: &Tensor, window: &Window, value: f32) -> Result<Tensor> {
    let along = |x: Tensor, axis: usize, size: usize, out: usize| -> Result<Tensor> {
        let (before, whole) = (window.padding, blocks(window, out) * window.stride);
        let x = if before + size > whole { x.narrow(axis, 0, whole - before)? } else { x };
        let mut edge = x.dims().to_vec();
        let mut filled = |count: usize| {
            edge[axis] = count;
            Tensor::full(value, edge.as_slice(), x.device())?.to_dtype(x.dtype())
        };
        let parts = [filled(before)?, x.clone(), filled(whole - before - x.dim(axis)?)?];
        let parts: Vec<&Tensor> = parts.iter().filter(|part| part.elem_count() > 0).collect();
        Tensor::cat(&parts, axis)
    };
    let rows = along(x.clone(), 2, window.height, window.out_height)?;
    along(rows, 3, window.width, window.out_width)
}

/// Of each place in a window, row by row, the values that all windows have there: `[n, c, oh, ow]`.
fn taps(x: &Tensor, window: &Window) -> Result<Vec<Tensor>> {
    let Window { kernel, stride, out_height, out_width, .. } = *window;
    let (n, c, _, _) = x.dims4()?;
    let (rows, columns) = (blocks(window, out_height), blocks(window, out_width));
    let x = x.reshape(&[n, c, rows, stride, columns, stride][..])?;
    let tap = |at: usize| {
        let (row, column) = (at / kernel, at % kernel);
        let rows = x.narrow(2, row / stride, out_height)?.narrow(3, row % stride, 1)?;
        let both = rows.narrow(4, column / stride, out_width)?.narrow(5, column % stride, 1)?;
        both.reshape((n, c, out_height, out_width))
    };
    (0..kernel * kernel).map(tap).collect()
}
