//! What the kernels on images share: views of strided tensors, scratch memory, matrices, planes and fixed partitions.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};

use super::cpu::{self, View};

/// The elements of a CPU f32 tensor in row-major order; borrowed where they lie so in memory already.
pub(crate) fn view<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Cow<'a, [f32]>> {
    let data = storage.as_slice::<f32>()?;
    Ok(match layout.contiguous_offsets() {
        Some((start, end)) => Cow::Borrowed(&data[start..end]),
        None => Cow::Owned(gathered(data, layout)),
    })
}

/// A row-major copy of a strided tensor.
fn gathered(data: &[f32], layout: &Layout) -> Vec<f32> {
    let mut offsets = vec![layout.start_offset()];
    for (&size, &stride) in layout.dims().iter().zip(layout.stride()) {
        offsets = offsets.iter().flat_map(|&start| (0..size).map(move |i| start + i * stride)).collect();
    }
    offsets.into_iter().map(|i| data[i]).collect()
}

/// Calls `f` with the row-major elements of a CPU f32 tensor.
pub(crate) fn with_view<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(&view(storage, layout)?)),
        _ => candle_core::bail!("expected a tensor on the CPU, found one on {:?}", tensor.device()),
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Floats of a cache line.
const LINE: usize = 16;

/// Lends `f` a buffer of `len` floats with arbitrary content, which begins with a cache line: a vector that is as long as a line
/// and lies across two takes twice the time. Calls may nest; buffers are kept for the next call.
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with_borrow_mut(|kept| take(kept, len + LINE));
    if buffer.len() < len + LINE {
        buffer.resize(len + LINE, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = f(&mut buffer[start..start + len]);
    SCRATCH.with_borrow_mut(|kept| kept.push(buffer));
    result
}

/// The shortest kept buffer that is long enough, else the longest, which then grows.
fn take(kept: &mut Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let best = (0..kept.len()).min_by_key(|&i| match kept[i].len() {
        enough if enough >= len => (false, enough),
        short => (true, usize::MAX - short),
    });
    best.map(|i| kept.swap_remove(i)).unwrap_or_default()
}

/// Splits `total` items into at most `parts` ranges of nearly equal length. Depends on its arguments only, so that a
/// sum over the parts has the same order of additions whatever the number of threads.
pub(crate) fn split(total: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, total.max(1));
    (0..parts).map(|i| i * total / parts..(i + 1) * total / parts).collect()
}

/// A matrix in a slice: element (r, c) lies at `r * row_stride + c * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major with `stride` floats from one row to the next.
    pub fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * stride + cols <= data.len(), "matrix beyond its slice");
        Self { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    pub fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// What a product does with the numbers already in its destination.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Write {
    Replace,
    Add,
}

/// `out = a · b` or `out += a · b` on the calling thread; `out` is row-major with `stride` floats a row.
pub(crate) fn matmul(out: &mut [f32], stride: usize, write: Write, a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.cols, b.rows, "inner dimensions differ");
    let (m, n, k) = (a.rows, b.cols, a.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(n <= stride && (m - 1) * stride + n <= out.len(), "product beyond its destination");
    let view = |m: Matrix<'_>| View { offset: 0, row: m.row_stride, column: m.col_stride };
    let out = (out, View::rows(stride));
    cpu::matmul((m, n, k), out, (a.data, view(a)), (b.data, view(b)), 1.0, write == Write::Add, 1);
}

/// The sum in sixteen interleaved partial sums, which compiles to vector additions; the order is fixed.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    fold(values, values, |v, _| v)
}

/// The sum of `f(a, b)` over two slices of one length, in sixteen interleaved partial sums.
#[inline(always)]
pub(crate) fn fold(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest: f32 = tail.map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// A mutable slice cut into planes of one length, for kernels whose tasks each own every `channels`-th plane.
pub(crate) struct Planes<'a> {
    start: *mut f32,
    count: usize,
    len: usize,
    _slice: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: `Planes` stands for the exclusive borrow of the slice that it was made from; `plane` hands out parts of it
// only under its own contract.
unsafe impl Sync for Planes<'_> {}

impl<'a> Planes<'a> {
    pub fn new(slice: &'a mut [f32], len: usize) -> Self {
        let count = slice.len().checked_div(len).unwrap_or(0);
        Self { start: slice.as_mut_ptr(), count, len, _slice: std::marker::PhantomData }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// # Safety
    /// No two live results may have the same `index`.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn plane(&self, index: usize) -> &mut [f32] {
        assert!(index < self.count, "plane {index} of {}", self.count);
        // SAFETY: the plane lies inside the borrowed slice, and by contract nobody else holds it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(index * self.len), self.len) }
    }
}
