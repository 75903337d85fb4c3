//! The matrix products between the transforms: small, many, and with operands that lie where the transforms put them.

use pulp::{Simd, WithSimd};

use super::blocks::BLOCK;

/// `out (+)= a · b` on the calling thread, `rows × width` over `depth`; `width` is a multiple of [`BLOCK`].
///
/// Element (r, k) of `a` is at `r * row + k * step`; row k of `b` starts at `k * step`, its next sixteen columns `block`
/// further; row r of `out` likewise at `r * row`.
pub(super) struct Product<'a> {
    pub rows: usize,
    pub width: usize,
    pub depth: usize,
    pub a: &'a [f32],
    pub a_row: usize,
    pub a_step: usize,
    pub b: &'a [f32],
    pub b_step: usize,
    pub b_block: usize,
    pub out: &'a mut [f32],
    pub out_row: usize,
    pub out_block: usize,
    /// Whether the product is added to what `out` holds.
    pub add: bool,
}

impl Product<'_> {
    pub fn run(self) {
        if self.rows == 0 || self.width == 0 {
            return;
        }
        let blocks = self.width / BLOCK - 1;
        assert!(self.width.is_multiple_of(BLOCK), "a product of {} columns", self.width);
        assert!((self.rows - 1) * self.out_row + blocks * self.out_block + BLOCK <= self.out.len(), "out too short");
        if self.depth > 0 {
            let last = self.depth - 1;
            assert!((self.rows - 1) * self.a_row + last * self.a_step < self.a.len(), "a too short");
            assert!(last * self.b_step + blocks * self.b_block + BLOCK <= self.b.len(), "b too short");
        }
        pulp::Arch::new().dispatch(self);
    }

    /// `R` rows from `row` on, `V` vectors of columns from vector `first` on.
    #[inline(always)]
    fn block<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, row: usize, first: usize) {
        let lanes = S::F32_LANES;
        let column = |v: usize, block: usize| ((first + v) * lanes / BLOCK) * block + (first + v) * lanes % BLOCK;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let out = self.out.as_mut_ptr();
        if self.add {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `run` checked the last row and column; a vector of floats may be any bytes.
                    *sum = unsafe {
                        out.add((row + r) * self.out_row + column(v, self.out_block)).cast::<S::f32s>().read_unaligned()
                    };
                }
            }
        }
        let mut starts = [0; V];
        for (v, start) in starts.iter_mut().enumerate() {
            *start = column(v, self.b_block);
        }
        let (a, b) = (self.a[row * self.a_row..].as_ptr(), self.b.as_ptr());
        let (a_row, a_step, b_step) = (self.a_row, self.a_step, self.b_step);
        for k in 0..self.depth {
            let mut columns = [simd.splat_f32s(0.0); V];
            for (vector, start) in columns.iter_mut().zip(starts) {
                // SAFETY: `run` checked the last row of `b` with its last columns.
                *vector = unsafe { b.add(k * b_step + start).cast::<S::f32s>().read_unaligned() };
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: `run` checked the last row of `a` at its last step.
                let factor = simd.splat_f32s(unsafe { *a.add(r * a_row + k * a_step) });
                for (sum, &vector) in sums.iter_mut().zip(&columns) {
                    *sum = simd.mul_add_e_f32s(factor, vector, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                // SAFETY: as for the reads above.
                unsafe {
                    let to = out.add((row + r) * self.out_row + column(v, self.out_block));
                    to.cast::<S::f32s>().write_unaligned(sum);
                }
            }
        }
    }

    /// All rows of `V` vectors of columns, in the largest steps that fit into the registers.
    #[inline(always)]
    fn columns<S: Simd, const V: usize>(&mut self, simd: S, first: usize) {
        let mut row = 0;
        while row < self.rows {
            // Eight rows are better done as four and four than as six and two.
            let step = match self.rows - row {
                left if left >= 12 && V <= 2 && S::REGISTER_COUNT >= 32 => {
                    self.block::<S, 12, V>(simd, row, first);
                    12
                }
                7 | 8 | 4 | 5 => {
                    self.block::<S, 4, V>(simd, row, first);
                    4
                }
                2 | 3 => {
                    self.block::<S, 2, V>(simd, row, first);
                    2
                }
                1 => {
                    self.block::<S, 1, V>(simd, row, first);
                    1
                }
                _ => {
                    self.block::<S, 6, V>(simd, row, first);
                    6
                }
            };
            row += step;
        }
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let vectors = self.width / S::F32_LANES;
        // 6 × 4 sums, 4 vectors and a factor fit into 32 registers; other processors have 16.
        let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let mut first = 0;
        while first < vectors {
            let count = (vectors - first).min(most);
            match count {
                4 => self.columns::<S, 4>(simd, first),
                3 => self.columns::<S, 3>(simd, first),
                2 => self.columns::<S, 2>(simd, first),
                _ => self.columns::<S, 1>(simd, first),
            }
            first += count;
        }
    }
}
