//! Layer normalisation over the last dimension with learned scale and shift, as `torch.nn.LayerNorm`.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{self, applies, simd};
use super::tile::{view, with_view};

/// Rows of one partial sum of the parameters' gradients. Fixed, so that sums don't depend on the number of threads.
const ROWS: usize = 256;

/// `(x − mean) / √(var + ε) · weight + bias` of every row; `x [.., width]`, `weight` and `bias` `[width]`.
///
/// The variance is the biased one. A constant row gives the bias, never NaN.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if width == 0 || weight.dims() != [width] || bias.dims() != [width] {
        bail!("layer_norm: rows of {width}, but weight {:?} and bias {:?}", weight.dims(), bias.dims())
    }
    if applies(x) && applies(weight) && applies(bias) {
        return x.apply_op3(weight, bias, LayerNorm { width, eps: eps as f32 });
    }
    composed(x, eps)?.broadcast_mul(weight)?.broadcast_add(bias)
}

/// `(x − mean) / √(var + ε)` of every row from candle's operations, for the other devices.
pub(super) fn composed(x: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + eps)?.sqrt()?)
}

struct LayerNorm {
    width: usize,
    eps: f32,
}

/// Mean and reciprocal standard deviation of a row.
#[inline(always)]
pub(super) fn statistics(row: &[f32], eps: f32) -> (f32, f32) {
    let width = row.len() as f32;
    let mean = cpu::sum(
        row.len(),
        #[inline(always)]
        |i| row[i],
    ) / width;
    let variance = cpu::sum(
        row.len(),
        #[inline(always)]
        |i| (row[i] - mean) * (row[i] - mean),
    ) / width;
    (mean, 1.0 / (variance + eps).sqrt())
}

impl LayerNorm {
    /// Gradients of some rows: of the input into `dx`, of weight and bias added to `[dweight | dbias]`.
    #[inline(always)]
    fn backward(&self, x: &[f32], weight: &[f32], dy: &[f32], dx: &mut [f32], parameters: &mut [f32]) {
        let width = self.width;
        let (dweight, dbias) = parameters.split_at_mut(width);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for ((x, dy), dx) in rows {
            let (mean, inverse) = statistics(x, self.eps);
            let mean_of = 1.0 / width as f32;
            let direct = mean_of
                * cpu::sum(
                    width,
                    #[inline(always)]
                    |i| dy[i] * weight[i],
                );
            let along = mean_of
                * cpu::sum(
                    width,
                    #[inline(always)]
                    |i| dy[i] * weight[i] * (x[i] - mean) * inverse,
                );
            for i in 0..width {
                let normed = (x[i] - mean) * inverse;
                dx[i] = inverse * (dy[i] * weight[i] - direct - normed * along);
                dweight[i] += dy[i] * normed;
                dbias[i] += dy[i];
            }
        }
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        weight: &CpuStorage,
        wl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (view(x, xl)?, view(weight, wl)?, view(bias, bl)?);
        let mut y = vec![0.0; x.len()];
        let chunk = ROWS * self.width;
        cpu::for_chunks(&mut y, chunk, |i, y| {
            let x = &x[i * chunk..][..y.len()];
            simd(
                #[inline(always)]
                || {
                    for (y, x) in y.chunks_exact_mut(self.width).zip(x.chunks_exact(self.width)) {
                        let (mean, inverse) = statistics(x, self.eps);
                        for i in 0..self.width {
                            y[i] = ((x[i] - mean) * inverse).mul_add(weight[i], bias[i]);
                        }
                    }
                },
            );
        });
        Ok((CpuStorage::F32(y), xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let chunk = ROWS * self.width;
        let mut dx = vec![0.0; x.elem_count()];
        let mut partial = vec![0.0; dx.len().div_ceil(chunk) * 2 * self.width];
        with_view(x, |x| {
            with_view(weight, |weight| {
                with_view(dy, |dy| {
                    let tasks = dx.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).zip(dy.par_chunks(chunk));
                    tasks.zip(partial.par_chunks_mut(2 * self.width)).for_each(|(((dx, x), dy), partial)| {
                        simd(
                            #[inline(always)]
                            || self.backward(x, weight, dy, dx, partial),
                        );
                    });
                })
            })
        })???;
        let sums = super::linear::column_sums(&partial, 2 * self.width);
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::new(&sums[..self.width], weight.device())?),
            Some(Tensor::new(&sums[self.width..], bias.device())?),
        ))
    }
}
