//! The five linear maps of F(4×4, 3×3) with the points 0, ±1, ±2, ∞ (Lavin and Gray, arXiv 1509.09308, §4.3), sixteen
//! channels at a time, and the loops that apply them to tiles.
//!
//! With B, G and A of the paper a tile's output is `Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`; its adjoint in g, which is the gradient
//! of the kernel, is `Gᵀ[(A y Aᵀ) ⊙ (Bᵀ d B)]G`.

use pulp::{Simd, WithSimd};

use super::blocks::BLOCK;
use super::strided::*;

/// Side of an input tile, and of an output tile.
pub(super) const TILE: usize = 6;
pub(super) const STEP: usize = 4;

/// Side of the tiles of a stride of 2, before and behind the maps.
pub(super) const STRIDED_TILE: usize = 9;

/// Which map.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Map {
    /// `Bᵀ`: 6 → 6
    Input,
    /// `Aᵀ`: 6 → 4
    Output,
    /// `A`: 4 → 6
    OutputGradient,
    /// `G`: 3 → 6
    Kernel,
    /// `Gᵀ`: 6 → 3
    KernelGradient,
    /// Stride 2, 9 → 9
    StridedInput,
    /// Stride 2, 9 → 4
    StridedOutput,
    /// Stride 2, 4 → 9
    StridedOutputGradient,
    /// Stride 2, 3 → 6
    StridedKernel,
    /// Stride 2, 6 → 3
    StridedKernelGradient,
    /// From the output's gradient to the input's, 5 → 9
    SpreadInput,
    /// From the output's gradient to the input's, 9 → 8
    SpreadOutput,
}

impl Map {
    /// Sides of what it takes and of what it makes.
    const fn sides(self) -> (usize, usize) {
        match self {
            Self::Input => (TILE, TILE),
            Self::Output => (TILE, STEP),
            Self::OutputGradient => (STEP, TILE),
            Self::Kernel | Self::StridedKernel => (3, TILE),
            Self::KernelGradient | Self::StridedKernelGradient => (TILE, 3),
            Self::StridedInput => (STRIDED_TILE, STRIDED_TILE),
            Self::StridedOutput => (STRIDED_TILE, STEP),
            Self::StridedOutputGradient => (STEP, STRIDED_TILE),
            Self::SpreadInput => (STEP + 1, STRIDED_TILE),
            Self::SpreadOutput => (STRIDED_TILE, 2 * STEP),
        }
    }
}

/// Where the values of the squares lie: element (i, j) of square t at `t * square + i * row + j * column`.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub square: usize,
    pub row: usize,
    pub column: usize,
}

impl Places {
    fn furthest(self, squares: usize, side: usize) -> usize {
        (squares - 1) * self.square + (side - 1) * (self.row + self.column) + BLOCK
    }
}

/// Maps `squares` squares of blocks on both sides: rows and columns.
pub(super) struct Transform<'a> {
    pub map: Map,
    pub squares: usize,
    pub from: &'a [f32],
    pub from_places: Places,
    pub to: &'a mut [f32],
    pub to_places: Places,
}

impl Transform<'_> {
    pub fn run(self) {
        if self.squares == 0 {
            return;
        }
        let (from, to) = self.map.sides();
        assert!(self.from_places.furthest(self.squares, from) <= self.from.len(), "squares beyond their slice");
        assert!(self.to_places.furthest(self.squares, to) <= self.to.len(), "results beyond their slice");
        pulp::Arch::new().dispatch(self);
    }

    #[inline(always)]
    fn each<S: Simd, M: Linear<I, O>, const I: usize, const O: usize>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        for square in 0..self.squares {
            for lane in (0..BLOCK).step_by(S::F32_LANES) {
                let mut half = [[zero; O]; I];
                let from = square * self.from_places.square + lane;
                for (j, half) in half.iter_mut().enumerate() {
                    let mut column = [zero; I];
                    for (i, value) in column.iter_mut().enumerate() {
                        let at = from + i * self.from_places.row + j * self.from_places.column;
                        // SAFETY: `run` checked the last element of the last square.
                        *value = unsafe { self.from.as_ptr().add(at).cast::<S::f32s>().read_unaligned() };
                    }
                    *half = M::map(simd, column);
                }
                let to = square * self.to_places.square + lane;
                for i in 0..O {
                    let mut row = [zero; I];
                    for (value, half) in row.iter_mut().zip(&half) {
                        *value = half[i];
                    }
                    for (j, value) in M::map(simd, row).into_iter().enumerate() {
                        let at = to + i * self.to_places.row + j * self.to_places.column;
                        // SAFETY: as for the reads, in the other slice.
                        unsafe { self.to.as_mut_ptr().add(at).cast::<S::f32s>().write_unaligned(value) };
                    }
                }
            }
        }
    }
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.map {
            Map::Input => self.each::<S, Input, _, _>(simd),
            Map::Output => self.each::<S, Output, _, _>(simd),
            Map::OutputGradient => self.each::<S, OutputGradient, _, _>(simd),
            Map::Kernel => self.each::<S, Kernel, _, _>(simd),
            Map::KernelGradient => self.each::<S, KernelGradient, _, _>(simd),
            Map::StridedInput => self.each::<S, StridedInput, _, _>(simd),
            Map::StridedOutput => self.each::<S, StridedOutput, _, _>(simd),
            Map::StridedOutputGradient => self.each::<S, StridedOutputGradient, _, _>(simd),
            Map::StridedKernel => self.each::<S, StridedKernel, _, _>(simd),
            Map::StridedKernelGradient => self.each::<S, StridedKernelGradient, _, _>(simd),
            Map::SpreadInput => self.each::<S, SpreadInput, _, _>(simd),
            Map::SpreadOutput => self.each::<S, SpreadOutput, _, _>(simd),
        }
    }
}

/// One of the maps on a row or column. A trait and not a closure: what is not inlined loses the vector instructions.
pub(super) trait Linear<const I: usize, const O: usize> {
    fn map<S: Simd>(simd: S, from: [S::f32s; I]) -> [S::f32s; O];
}

struct Input;

impl Linear<6, 6> for Input {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let (four, five, two) = (simd.splat_f32s(-4.0), simd.splat_f32s(-5.0), simd.splat_f32s(2.0));
        let plus_four = simd.splat_f32s(4.0);
        let even = simd.mul_add_e_f32s(four, d[2], d[4]);
        let odd = simd.mul_add_e_f32s(four, d[1], d[3]);
        let even_half = simd.sub_f32s(d[4], d[2]);
        let odd_half = simd.mul_f32s(two, simd.sub_f32s(d[3], d[1]));
        [
            simd.mul_add_e_f32s(plus_four, d[0], simd.mul_add_e_f32s(five, d[2], d[4])),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(even_half, odd_half),
            simd.sub_f32s(even_half, odd_half),
            simd.mul_add_e_f32s(plus_four, d[1], simd.mul_add_e_f32s(five, d[3], d[5])),
        ]
    }
}

struct Output;

impl Linear<6, 4> for Output {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let (two, four, eight) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0), simd.splat_f32s(8.0));
        let (sum1, difference1) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        let (sum2, difference2) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
        [
            simd.add_f32s(m[0], simd.add_f32s(sum1, sum2)),
            simd.mul_add_e_f32s(two, difference2, difference1),
            simd.mul_add_e_f32s(four, sum2, sum1),
            simd.mul_add_e_f32s(eight, difference2, simd.add_f32s(difference1, m[5])),
        ]
    }
}

struct OutputGradient;

impl Linear<4, 6> for OutputGradient {
    #[inline(always)]
    fn map<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
        let (two, four) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0));
        let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
        let even_far = simd.mul_add_e_f32s(four, y[2], y[0]);
        let odd_far = simd.mul_f32s(two, simd.mul_add_e_f32s(four, y[3], y[1]));
        [
            y[0],
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(even_far, odd_far),
            simd.sub_f32s(even_far, odd_far),
            y[3],
        ]
    }
}

struct Kernel;

impl Linear<3, 6> for Kernel {
    #[inline(always)]
    fn map<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
        let sixth = simd.splat_f32s(1.0 / 6.0);
        let even = simd.mul_f32s(simd.splat_f32s(-1.0 / 6.0), simd.add_f32s(g[0], g[2]));
        let odd = simd.mul_f32s(simd.splat_f32s(-1.0 / 6.0), g[1]);
        let even_far = simd.mul_add_e_f32s(simd.splat_f32s(1.0 / 24.0), g[0], simd.mul_f32s(sixth, g[2]));
        let odd_far = simd.mul_f32s(simd.splat_f32s(1.0 / 12.0), g[1]);
        [
            simd.mul_f32s(simd.splat_f32s(0.25), g[0]),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(even_far, odd_far),
            simd.sub_f32s(even_far, odd_far),
            g[2],
        ]
    }
}

struct KernelGradient;

impl Linear<6, 3> for KernelGradient {
    #[inline(always)]
    fn map<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
        let (sixth, minus_sixth) = (simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(-1.0 / 6.0));
        let (sum1, sum2) = (simd.add_f32s(u[1], u[2]), simd.add_f32s(u[3], u[4]));
        let (difference1, difference2) = (simd.sub_f32s(u[2], u[1]), simd.sub_f32s(u[3], u[4]));
        let near = simd.mul_f32s(minus_sixth, sum1);
        [
            simd.mul_add_e_f32s(
                simd.splat_f32s(0.25),
                u[0],
                simd.mul_add_e_f32s(simd.splat_f32s(1.0 / 24.0), sum2, near),
            ),
            simd.mul_add_e_f32s(simd.splat_f32s(1.0 / 12.0), difference2, simd.mul_f32s(sixth, difference1)),
            simd.add_f32s(u[5], simd.mul_add_e_f32s(sixth, sum2, near)),
        ]
    }
}
