//! What the CPU kernels share: slices of tensors, matrix multiplication, SIMD dispatch and row-parallel loops.

use std::cell::Cell;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};
use gemm::Parallelism;
use rayon::prelude::*;

/// A matrix inside a slice: element `(i, j)` is at `offset + i * row + j * column`.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub offset: usize,
    pub row: usize,
    pub column: usize,
}

impl View {
    /// A row-major matrix of this width.
    pub fn rows(width: usize) -> Self {
        Self { offset: 0, row: width, column: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// The same matrix further along the slice.
    pub fn at(self, offset: usize) -> Self {
        Self { offset: self.offset + offset, ..self }
    }

    fn end(self, rows: usize, columns: usize) -> usize {
        self.offset + (rows - 1) * self.row + (columns - 1) * self.column + 1
    }
}

/// `c = a · b`, or `c += a · b` when `accumulate`; `a` is `m × k`, `b` is `k × n`, `c` is `m × n`.
///
/// With `threads` greater than one the rows and columns of `c` are shared out; the order of each sum does not change.
#[allow(clippy::too_many_arguments, reason = "a matrix product has three sizes and three operands")]
pub fn matmul(
    (m, n, k): (usize, usize, usize),
    c: (&mut [f32], View),
    a: (&[f32], View),
    b: (&[f32], View),
    scale: f32,
    accumulate: bool,
    threads: usize,
) {
    if m == 0 || n == 0 {
        return;
    }
    if k > 0 {
        assert!(a.1.end(m, k) <= a.0.len() && b.1.end(k, n) <= b.0.len(), "operand of a matrix product out of bounds");
    }
    assert!(c.1.end(m, n) <= c.0.len(), "result of a matrix product out of bounds");
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    // SAFETY: the three views were just checked to lie inside their slices, and `c` is borrowed uniquely.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.0.as_mut_ptr().add(c.1.offset),
            c.1.column as isize,
            c.1.row as isize,
            accumulate,
            a.0.as_ptr().add(a.1.offset),
            a.1.column as isize,
            a.1.row as isize,
            b.0.as_ptr().add(b.1.offset),
            b.1.column as isize,
            b.1.row as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// The number of threads that the kernels use: rayon's, which `RAYON_NUM_THREADS` sets.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Runs `f` compiled for the widest vectors of this processor. `f` and all that it calls must be `#[inline(always)]`.
#[inline(always)]
pub fn simd<R>(f: impl FnOnce() -> R) -> R {
    struct Call<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Call<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Call(f))
}

/// Runs `f(index, chunk)` over the chunks of `data`, in parallel; the chunks don't depend on the number of threads.
pub fn for_chunks(data: &mut [f32], chunk: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    if data.len() <= 1 << 14 || threads() == 1 {
        data.chunks_mut(chunk.max(1)).enumerate().for_each(|(i, part)| f(i, part));
    } else {
        data.par_chunks_mut(chunk.max(1)).enumerate().for_each(|(i, part)| f(i, part));
    }
}

/// The contiguous f32 elements behind a storage and its layout.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => bail!("a CPU kernel was handed a tensor that is not contiguous"),
    }
}

/// Calls `f` with the elements of some contiguous f32 CPU tensors.
pub fn with_slices<const N: usize, R>(tensors: [&Tensor; N], f: impl FnOnce([&[f32]; N]) -> R) -> Result<R> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut slices: [&[f32]; N] = [&[]; N];
    for (out, (storage, layout)) in slices.iter_mut().zip(&guards) {
        *out = match &**storage {
            Storage::Cpu(storage) => slice(storage, layout)?,
            _ => bail!("a CPU kernel was handed a tensor of another device"),
        };
    }
    Ok(f(slices))
}

/// Whether the CPU kernels apply: f32 on the CPU. Everything else goes through candle's own operations.
pub fn applies(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == candle_core::DType::F32 && ALLOWED.get()
}

thread_local! {
    /// Whether this thread may use the kernels.
    static ALLOWED: Cell<bool> = const { Cell::new(true) };
}

/// Runs `f` as if there were no CPU kernels: on this thread everything goes through candle's own operations, as it does on
/// every other device. So tests reach on the CPU what a GPU would compute.
pub fn without_kernels<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ALLOWED.set(self.0);
        }
    }
    let _before = Restore(ALLOWED.replace(false));
    f()
}

/// `e^x` to about 2 ulp, in a form that vectorises (Cephes' polynomial).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding and taking away rounds to the nearest integer
    let x = x.clamp(-87.3, 88.3);
    let n = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    let y = p.mul_add(r * r, r) + 1.0;
    y * f32::from_bits((((n as i32) + 127) << 23) as u32)
}

/// The sum of `f(i)` for `i < n`, in sixteen interleaved partial sums: vectorises, and always in the same order.
#[inline(always)]
pub fn sum(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0_f32; LANES];
    let whole = n / LANES * LANES;
    let mut i = 0;
    while i < whole {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += f(i + lane);
        }
        i += LANES;
    }
    let tail: f32 = (whole..n).map(&f).sum();
    lanes.iter().sum::<f32>() + tail
}
