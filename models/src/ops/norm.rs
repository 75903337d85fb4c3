//! The two row-wise operations of adaLN-Zero (DiT, arXiv 2212.09748, figure 3): modulated layer norm and gated residual.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::cpu;
use super::layer_norm::{self, statistics};

const EPSILON: f32 = 1e-6;

/// `LN(x) · (1 + scale) + shift`; `x [n, tokens, width]`, `shift` and `scale` `[n, width]`. LN has no parameters, ε = 1e-6.
pub fn layer_norm_modulate(x: &Tensor, shift: &Tensor, scale: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) {
        return x.contiguous()?.apply_op3(&shift.contiguous()?, &scale.contiguous()?, Modulate);
    }
    let normed = layer_norm::composed(x, f64::from(EPSILON))?;
    normed.broadcast_mul(&(scale.unsqueeze(1)? + 1.0)?)?.broadcast_add(&shift.unsqueeze(1)?)
}

/// `x + gate · y`; `x` and `y` `[n, tokens, width]`, `gate [n, width]`.
pub fn gated_residual(x: &Tensor, gate: &Tensor, y: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) {
        return x.contiguous()?.apply_op3(&gate.contiguous()?, &y.contiguous()?, Gated);
    }
    x + y.broadcast_mul(&gate.unsqueeze(1)?)?
}

struct Modulate;
struct Gated;

impl CustomOp3 for Modulate {
    fn name(&self) -> &'static str {
        "layer-norm-modulate"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, tokens, width) = x_layout.shape().dims3()?;
        let x = cpu::slice(x, x_layout)?;
        let (shift, scale) = (cpu::slice(shift, shift_layout)?, cpu::slice(scale, scale_layout)?);
        let mut y = vec![0.0; x.len()];
        let item = tokens * width;
        cpu::for_chunks(&mut y, item, |n, y| {
            let (x, shift, scale) =
                (&x[n * item..][..item], &shift[n * width..][..width], &scale[n * width..][..width]);
            cpu::simd(
                #[inline(always)]
                || {
                    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                        let (mean, inverse) = statistics(x, EPSILON);
                        for i in 0..width {
                            y[i] = ((x[i] - mean) * inverse).mul_add(1.0 + scale[i], shift[i]);
                        }
                    }
                },
            );
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        shift: &Tensor,
        scale: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, tokens, width) = x.dims3()?;
        let item = tokens * width;
        let grad = grad.contiguous()?;
        // One buffer for all three, so that each image is one task: [tokens · width | shift | scale].
        let packed = cpu::with_slices([x, scale, &grad], |[x, scale, g]| {
            let stride = item + 2 * width;
            let mut packed = vec![0.0; x.len() / item * stride];
            cpu::for_chunks(&mut packed, stride, |n, out| {
                let (x, g, scale) = (&x[n * item..][..item], &g[n * item..][..item], &scale[n * width..][..width]);
                let (dx, rest) = out.split_at_mut(item);
                let (dshift, dscale) = rest.split_at_mut(width);
                cpu::simd(
                    #[inline(always)]
                    || modulate_backward(width, (x, g, scale), (dx, dshift, dscale)),
                );
            });
            packed
        })?;
        let (dx, dshift, dscale) = unpack(&packed, item, width);
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dshift, shift.shape(), x.device())?),
            Some(Tensor::from_vec(dscale, scale.shape(), x.device())?),
        ))
    }
}

#[inline(always)]
fn modulate_backward(
    width: usize,
    (x, g, scale): (&[f32], &[f32], &[f32]),
    (dx, dshift, dscale): (&mut [f32], &mut [f32], &mut [f32]),
) {
    let rows = x.chunks_exact(width).zip(g.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
    for ((x, g), dx) in rows {
        let (mean, inverse) = statistics(x, EPSILON);
        let normed = |i: usize| (x[i] - mean) * inverse;
        let upstream = |i: usize| g[i] * (1.0 + scale[i]);
        let a = cpu::sum(width, upstream) / width as f32;
        let b = cpu::sum(
            width,
            #[inline(always)]
            |i| upstream(i) * normed(i),
        ) / width as f32;
        for i in 0..width {
            dx[i] = inverse * (upstream(i) - a - normed(i) * b);
            dshift[i] += g[i];
            dscale[i] += g[i] * normed(i);
        }
    }
}

/// Takes `[item | first | second]` per image apart.
fn unpack(packed: &[f32], item: usize, width: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let images = packed.len() / (item + 2 * width);
    let mut parts = (Vec::with_capacity(images * item), Vec::new(), Vec::new());
    for image in packed.chunks_exact(item + 2 * width) {
        parts.0.extend_from_slice(&image[..item]);
        parts.1.extend_from_slice(&image[item..][..width]);
        parts.2.extend_from_slice(&image[item + width..]);
    }
    parts
}

impl CustomOp3 for Gated {
    fn name(&self) -> &'static str {
        "gated-residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gate: &CpuStorage,
        gate_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, tokens, width) = x_layout.shape().dims3()?;
        let (x, y) = (cpu::slice(x, x_layout)?, cpu::slice(y, y_layout)?);
        let gate = cpu::slice(gate, gate_layout)?;
        let mut out = vec![0.0; x.len()];
        let item = tokens * width;
        cpu::for_chunks(&mut out, item, |n, out| {
            let (x, y, gate) = (&x[n * item..][..item], &y[n * item..][..item], &gate[n * width..][..width]);
            cpu::simd(
                #[inline(always)]
                || {
                    let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(y.chunks_exact(width));
                    for ((out, x), y) in rows {
                        for i in 0..width {
                            out[i] = gate[i].mul_add(y[i], x[i]);
                        }
                    }
                },
            );
        });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        gate: &Tensor,
        y: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, tokens, width) = y.dims3()?;
        let item = tokens * width;
        let grad = grad.contiguous()?;
        let (dy, dgate) = cpu::with_slices([gate, y, &grad], |[gate, y, g]| {
            let mut dy = vec![0.0; y.len()];
            cpu::for_chunks(&mut dy, item, |n, dy| {
                let (g, gate) = (&g[n * item..][..item], &gate[n * width..][..width]);
                cpu::simd(
                    #[inline(always)]
                    || {
                        for (dy, g) in dy.chunks_exact_mut(width).zip(g.chunks_exact(width)) {
                            for i in 0..width {
                                dy[i] = g[i] * gate[i];
                            }
                        }
                    },
                );
            });
            let mut dgate = vec![0.0; gate.len()];
            cpu::for_chunks(&mut dgate, width, |n, dgate| {
                let (g, y) = (&g[n * item..][..item], &y[n * item..][..item]);
                cpu::simd(
                    #[inline(always)]
                    || {
                        for (g, y) in g.chunks_exact(width).zip(y.chunks_exact(width)) {
                            for i in 0..width {
                                dgate[i] += g[i] * y[i];
                            }
                        }
                    },
                );
            });
            (dy, dgate)
        })?;
        Ok((
            Some(grad),
            Some(Tensor::from_vec(dgate, gate.shape(), gate.device())?),
            Some(Tensor::from_vec(dy, y.shape(), y.device())?),
        ))
    }
}
