//! The maps for a stride of 2.
//!
//! Along each axis `yᵢ = k₀ x₂ᵢ + k₁ x₂ᵢ₊₁ + k₂ x₂ᵢ₊₂`: a convolution of the even places with the two taps k₀ and k₂, and a product
//! of the odd ones with k₁. Of four outputs, the first is F(4, 2) with the points 0, 1, −1, 2, ∞ and has five products, the second
//! has four: in two dimensions 81 products for sixteen outputs instead of 144. The last four of the nine use one kernel, so that
//! there are 36 kernels of a pair of channels.
//!
//! The gradient of the input has the same kernels, turned round: its odd places are F(4, 2) of the output's gradient, its even
//! ones are products with k₁.

use pulp::Simd;

use super::transform::Linear;

/// `Bᵀ` of F(4, 2).
#[inline(always)]
fn spread<S: Simd>(simd: S, d: [S::f32s; 5]) -> [S::f32s; 5] {
    let (two, minus_two, minus_three) = (simd.splat_f32s(2.0), simd.splat_f32s(-2.0), simd.splat_f32s(-3.0));
    let far = simd.sub_f32s(d[3], d[1]);
    let near = simd.sub_f32s(d[2], d[0]);
    [
        simd.mul_add_e_f32s(minus_two, near, far),
        simd.sub_f32s(simd.mul_add_e_f32s(minus_two, d[1], d[3]), d[2]),
        simd.mul_add_e_f32s(minus_three, d[2], simd.mul_add_e_f32s(two, d[1], d[3])),
        far,
        simd.mul_add_e_f32s(minus_two, far, simd.sub_f32s(d[4], d[2])),
    ]
}

/// `Aᵀ` of F(4, 2).
#[inline(always)]
fn gathered<S: Simd>(simd: S, m: [S::f32s; 5]) -> [S::f32s; 4] {
    let (two, four, eight) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0), simd.splat_f32s(8.0));
    let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    [
        simd.add_f32s(m[0], simd.add_f32s(sum, m[3])),
        simd.mul_add_e_f32s(two, m[3], difference),
        simd.mul_add_e_f32s(four, m[3], sum),
        simd.mul_add_e_f32s(eight, m[3], simd.add_f32s(difference, m[4])),
    ]
}

pub(super) struct StridedInput;

impl Linear<9, 9> for StridedInput {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 9]) -> [S::f32s; 9] {
        let [a, b, c, e, f] = spread(simd, [d[0], d[2], d[4], d[6], d[8]]);
        [a, b, c, e, f, d[1], d[3], d[5], d[7]]
    }
}

pub(super) struct StridedOutput;

impl Linear<9, 4> for StridedOutput {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 9]) -> [S::f32s; 4] {
        let y = gathered(simd, [m[0], m[1], m[2], m[3], m[4]]);
        [simd.add_f32s(y[0], m[5]), simd.add_f32s(y[1], m[6]), simd.add_f32s(y[2], m[7]), simd.add_f32s(y[3], m[8])]
    }
}

pub(super) struct StridedOutputGradient;

impl Linear<4, 9> for StridedOutputGradient {
    #[inline(always)]
    fn map<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 9] {
        let (two, four) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0));
        let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
        let even_far = simd.mul_add_e_f32s(four, y[2], y[0]);
        let odd_far = simd.mul_add_e_f32s(four, y[3], y[1]);
        let far = simd.mul_add_e_f32s(two, odd_far, even_far);
        [y[0], simd.add_f32s(even, odd), simd.sub_f32s(even, odd), far, y[3], y[0], y[1], y[2], y[3]]
    }
}

pub(super) struct StridedKernel;

impl Linear<3, 6> for StridedKernel {
    #[inline(always)]
    fn map<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
        let (half, sixth) = (simd.splat_f32s(0.5), simd.splat_f32s(1.0 / 6.0));
        let minus_half = simd.splat_f32s(-0.5);
        [
            simd.mul_f32s(half, g[0]),
            simd.mul_f32s(minus_half, simd.add_f32s(g[0], g[2])),
            simd.mul_f32s(sixth, simd.sub_f32s(g[2], g[0])),
            simd.mul_f32s(sixth, simd.add_f32s(g[0], simd.add_f32s(g[2], g[2]))),
            g[2],
            g[1],
        ]
    }
}

pub(super) struct StridedKernelGradient;

impl Linear<6, 3> for StridedKernelGradient {
    #[inline(always)]
    fn map<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
        let (half, sixth, third) = (simd.splat_f32s(0.5), simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(1.0 / 3.0));
        let near = simd.mul_f32s(half, simd.sub_f32s(u[0], u[1]));
        let far = simd.mul_add_e_f32s(simd.splat_f32s(-0.5), u[1], u[4]);
        [
            simd.mul_add_e_f32s(sixth, simd.sub_f32s(u[3], u[2]), near),
            u[5],
            simd.mul_add_e_f32s(third, u[3], simd.mul_add_e_f32s(sixth, u[2], far)),
        ]
    }
}

pub(super) struct SpreadInput;

impl Linear<5, 9> for SpreadInput {
    #[inline(always)]
    fn map<S: Simd>(simd: S, d: [S::f32s; 5]) -> [S::f32s; 9] {
        let [a, b, c, e, f] = spread(simd, d);
        [a, b, c, e, f, d[0], d[1], d[2], d[3]]
    }
}

pub(super) struct SpreadOutput;

impl Linear<9, 8> for SpreadOutput {
    #[inline(always)]
    fn map<S: Simd>(simd: S, m: [S::f32s; 9]) -> [S::f32s; 8] {
        let y = gathered(simd, [m[0], m[1], m[2], m[3], m[4]]);
        [m[5], y[0], m[6], y[1], m[7], y[2], m[8], y[3]]
    }
}
