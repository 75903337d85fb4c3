//! Activations of the mobile networks and the transformers, element by element.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::cpu;
use super::tile::{view, with_view};

/// What follows a layer, element by element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    None,
    Relu,
    Relu6,
    Silu,
}

impl Activation {
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::None => Ok(x.clone()),
            Self::Relu => relu(x),
            Self::Relu6 => relu6(x),
            Self::Silu => silu(x),
        }
    }
}

/// [`silu`] where the numbers lie.
pub(super) fn silu_in_place(x: &mut [f32]) {
    cpu::for_chunks(x, CHUNK, |_, x| {
        cpu::simd(
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = Silu::value(*x)),
        );
    });
}

/// `max(x, 0)`, NaN where `x` is NaN, as PyTorch has it. Candle's own, which other devices use, gives 0 there.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) { x.apply_op1(Pointwise(PhantomData::<Relu>)) } else { x.relu() }
}

/// `min(max(x, 0), 6)`: MobileNet's.
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) { x.apply_op1(Pointwise(PhantomData::<Relu6>)) } else { x.clamp(0.0, 6.0) }
}

/// `x · σ(x)`, also called swish.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) { x.apply_op1(Pointwise(PhantomData::<Silu>)) } else { x.silu() }
}

/// `x · Φ(x)` with the normal distribution function Φ: GELU as `torch.nn.GELU()` has it.
pub fn gelu_erf(x: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) { x.apply_op1(Pointwise(PhantomData::<GeluErf>)) } else { x.gelu_erf() }
}

/// `1 / (1 + e⁻ˣ)`.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) { x.apply_op1(Pointwise(PhantomData::<Sigmoid>)) } else { candle_nn::ops::sigmoid(x) }
}

/// A function of one number and its derivative.
trait Curve: Send + Sync + 'static {
    const NAME: &'static str;
    fn value(x: f32) -> f32;
    fn slope(x: f32) -> f32;
}

struct Relu;
struct Relu6;
struct Silu;
struct GeluErf;
struct Sigmoid;

impl Curve for Relu {
    const NAME: &'static str = "relu";

    #[inline(always)]
    fn value(x: f32) -> f32 {
        // Not max, so that a NaN stays one.
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        if x > 0.0 { 1.0 } else { 0.0 }
    }
}

impl Curve for Relu6 {
    const NAME: &'static str = "relu6";

    #[inline(always)]
    fn value(x: f32) -> f32 {
        // Not min and max, so that a NaN stays one.
        x.clamp(0.0, 6.0)
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        if x > 0.0 && x < 6.0 { 1.0 } else { 0.0 }
    }
}

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + cpu::exp(-x))
}

impl Curve for Silu {
    const NAME: &'static str = "silu";

    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * logistic(x)
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let s = logistic(x);
        s * x.mul_add(1.0 - s, 1.0)
    }
}

impl Curve for Sigmoid {
    const NAME: &'static str = "sigmoid";

    #[inline(always)]
    fn value(x: f32) -> f32 {
        logistic(x)
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let s = logistic(x);
        s * (1.0 - s)
    }
}

/// Φ(x), from Abramowitz & Stegun 7.1.26 (absolute error of erf at most 1.5e-7).
#[inline(always)]
fn normal_distribution(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let mut p = 1.061_405_4_f32;
    p = p.mul_add(t, -1.453_152_1);
    p = p.mul_add(t, 1.421_413_8);
    p = p.mul_add(t, -0.284_496_72);
    p = p.mul_add(t, 0.254_829_6);
    let tail = 0.5 * p * t * cpu::exp(-z * z);
    if x > 0.0 { 1.0 - tail } else { tail }
}

impl Curve for GeluErf {
    const NAME: &'static str = "gelu-erf";

    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * normal_distribution(x)
    }

    #[inline(always)]
    fn slope(x: f32) -> f32 {
        const DENSITY: f32 = 0.398_942_3; // 1/√(2π)
        (x * DENSITY).mul_add(cpu::exp(-0.5 * x * x), normal_distribution(x))
    }
}

const CHUNK: usize = 1 << 14;

struct Pointwise<C>(PhantomData<C>);

impl<C: Curve> CustomOp1 for Pointwise<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = view(x, layout)?;
        let mut y = vec![0.0; x.len()];
        cpu::for_chunks(&mut y, CHUNK, |i, y| {
            let x = &x[i * CHUNK..][..y.len()];
            cpu::simd(
                #[inline(always)]
                || y.iter_mut().zip(x).for_each(|(y, &x)| *y = C::value(x)),
            );
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut dx = vec![0.0; x.elem_count()];
        with_view(x, |x| {
            with_view(grad, |grad| {
                cpu::for_chunks(&mut dx, CHUNK, |i, dx| {
                    let (x, grad) = (&x[i * CHUNK..][..dx.len()], &grad[i * CHUNK..][..dx.len()]);
                    cpu::simd(
                        #[inline(always)]
                        || dx.iter_mut().zip(x).zip(grad).for_each(|((dx, &x), &g)| *dx = g * C::slope(x)),
                    );
                });
            })
        })??;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
