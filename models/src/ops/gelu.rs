//! GELU in its tanh form, `x · σ(2√(2/π)(x + 0.044715x³))`, as DiT's `GELU(approximate="tanh")`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::cpu;

/// GELU (tanh approximation) of every element.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) { x.contiguous()?.apply_op1(Gelu) } else { x.gelu() }
}

struct Gelu;

const CHUNK: usize = 1 << 14;
const TWICE_ROOT: f32 = 2.0 * 0.797_884_6; // 2√(2/π)
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gate(x: f32) -> f32 {
    1.0 / (1.0 + cpu::exp(-TWICE_ROOT * x * (CUBIC * x).mul_add(x, 1.0)))
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = cpu::slice(x, layout)?;
        let mut y = vec![0.0; x.len()];
        cpu::for_chunks(&mut y, CHUNK, |i, y| {
            let x = &x[i * CHUNK..][..y.len()];
            cpu::simd(
                #[inline(always)]
                || y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * gate(x)),
            );
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let dx = cpu::with_slices([x, &grad], |[x, g]| {
            let mut dx = vec![0.0; x.len()];
            cpu::for_chunks(&mut dx, CHUNK, |i, dx| {
                let (x, g) = (&x[i * CHUNK..][..dx.len()], &g[i * CHUNK..][..dx.len()]);
                cpu::simd(
                    #[inline(always)]
                    || {
                        for ((dx, &x), &g) in dx.iter_mut().zip(x).zip(g) {
                            let s = gate(x);
                            let slope = TWICE_ROOT * (3.0 * CUBIC * x).mul_add(x, 1.0);
                            *dx = g * s * (x * slope).mul_add(1.0 - s, 1.0);
                        }
                    },
                );
            });
            dx
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
