//! The sizes of a pooling, and where its windows lie.

use std::ops::Range;

use candle_core::{Layout, Result, Shape, bail};
use rayon::prelude::*;

use crate::ops::cpu::simd;

/// The sizes of a pooling.
#[derive(Clone, Copy)]
pub struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub height: usize,
    pub width: usize,
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

    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    pub fn out_plane(&self) -> usize {
        self.out_height * self.out_width
    }

    pub fn out_shape(&self, layout: &Layout) -> Shape {
        Shape::from((layout.dims()[0], layout.dims()[1], self.out_height, self.out_width))
    }

    /// The input rows of the windows in output row `oy`.
    #[inline(always)]
    pub fn rows(&self, oy: usize) -> Range<usize> {
        let start = (oy * self.stride).saturating_sub(self.padding);
        start..(oy * self.stride + self.kernel - self.padding).min(self.height)
    }

    /// The input columns of the windows in output column `ox`.
    #[inline(always)]
    pub fn columns(&self, ox: usize) -> Range<usize> {
        let start = (ox * self.stride).saturating_sub(self.padding);
        start..(ox * self.stride + self.kernel - self.padding).min(self.width)
    }

    /// The input positions of output window (oy, ox), row by row.
    #[inline(always)]
    pub fn inputs(&self, oy: usize, ox: usize) -> impl Iterator<Item = usize> + use<> {
        let (columns, width) = (self.columns(ox), self.width);
        self.rows(oy).flat_map(move |y| columns.clone().map(move |x| y * width + x))
    }

    /// Calls `f` with every output position and its window's coordinates.
    #[inline(always)]
    pub fn for_each(&self, mut f: impl FnMut(usize, usize, usize)) {
        for oy in 0..self.out_height {
            for ox in 0..self.out_width {
                f(oy * self.out_width + ox, oy, ox);
            }
        }
    }

    /// Runs `f` on every pair of planes, in parallel.
    pub fn planes(&self, from: &[f32], onto: &mut [f32], f: impl Fn(&[f32], &mut [f32]) + Sync, sizes: (usize, usize)) {
        if sizes.0 == 0 || sizes.1 == 0 {
            return;
        }
        let pairs = onto.par_chunks_mut(sizes.1).zip(from.par_chunks(sizes.0));
        pairs.with_min_len(16).for_each(|(onto, from)| simd(|| f(from, onto)));
    }

    /// Which of `out` output positions have an input at tap `k` of their window, out of `size`; and the first such input.
    #[inline(always)]
    pub fn span(&self, k: usize, size: usize, out: usize) -> (Range<usize>, usize) {
        let first = self.padding.saturating_sub(k).div_ceil(self.stride).min(out);
        let end = (size + self.padding).saturating_sub(k).div_ceil(self.stride).clamp(first, out);
        (first..end, (first * self.stride + k).saturating_sub(self.padding))
    }
}
