//! Multi-head self-attention over packed queries, keys and values, one task an image and head.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::cpu::{self, View, matmul};

/// `softmax(q · kᵀ / √d) · v` for each head; `qkv [n, tokens, 3 · width]`, heads side by side in each third → `[n, tokens, width]`.
pub fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    if cpu::applies(qkv) {
        return qkv.contiguous()?.apply_op1(Attention { heads });
    }
    let (n, tokens, packed) = qkv.dims3()?;
    let (width, depth) = (packed / 3, packed / 3 / heads);
    let split = qkv.reshape((n, tokens, 3, heads, depth))?.permute((2, 0, 3, 1, 4))?; // [3, n, heads, tokens, depth]
    let part = |i| split.get(i)?.contiguous();
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (depth as f64).sqrt())?;
    let weights = {
        let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?
    };
    weights.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((n, tokens, width))
}

struct Attention {
    heads: usize,
}

/// The sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    tokens: usize,
    width: usize,
    depth: usize,
}

impl Sizes {
    fn of(dims: &[usize], heads: usize) -> Result<Self> {
        match *dims {
            [_, tokens, packed] if packed % (3 * heads) == 0 => {
                Ok(Self { tokens, width: packed / 3, depth: packed / 3 / heads })
            }
            _ => candle_core::bail!("attention: {dims:?} is not [n, tokens, 3 · width] with a width of {heads} heads"),
        }
    }

    fn scale(self) -> f32 {
        1.0 / (self.depth as f32).sqrt()
    }

    /// Where third `part` (0 q, 1 k, 2 v) of this head lies in an image's rows.
    fn view(self, part: usize, head: usize) -> View {
        View { offset: part * self.width + head * self.depth, row: 3 * self.width, column: 1 }
    }
}

/// The attention weights of one head, row-major `[tokens, tokens]`.
fn weights(qkv: &[f32], sizes: Sizes, head: usize, out: &mut [f32]) {
    let Sizes { tokens, depth, .. } = sizes;
    let keys = sizes.view(1, head).transposed();
    let result = (&mut *out, View::rows(tokens));
    matmul((tokens, tokens, depth), result, (qkv, sizes.view(0, head)), (qkv, keys), sizes.scale(), false, 1);
    cpu::simd(
        #[inline(always)]
        || {
            for row in out.chunks_exact_mut(tokens) {
                softmax(row);
            }
        },
    );
}

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        for i in 0..16 {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    let mut largest = f32::NEG_INFINITY;
    for &value in lanes.iter().chain(rest) {
        largest = if value > largest { value } else { largest };
    }
    for value in row.iter_mut() {
        *value = cpu::exp(*value - largest);
    }
    let inverse = 1.0
        / cpu::sum(
            row.len(),
            #[inline(always)]
            |i| row[i],
        );
    for value in row.iter_mut() {
        *value *= inverse;
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::of(layout.dims(), self.heads)?;
        let Sizes { tokens, width, depth } = sizes;
        let qkv = cpu::slice(qkv, layout)?;
        let images = layout.dims()[0];
        let mut out = vec![0.0; images * tokens * width];
        let tasks = out.par_chunks_mut(tokens * width).zip(qkv.par_chunks(tokens * 3 * width));
        tasks.for_each_init(
            || vec![0.0; tokens * tokens],
            |scores, (out, qkv)| {
                for head in 0..self.heads {
                    weights(qkv, sizes, head, scores);
                    let result = View { offset: head * depth, row: width, column: 1 };
                    let values = (qkv, sizes.view(2, head));
                    let left = (&scores[..], View::rows(tokens));
                    matmul((tokens, depth, tokens), (out, result), left, values, 1.0, false, 1);
                }
            },
        );
        Ok((CpuStorage::F32(out), (images, tokens, width).into()))
    }

    fn bwd(&self, qkv: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let sizes = Sizes::of(qkv.dims(), self.heads)?;
        let Sizes { tokens, width, .. } = sizes;
        let grad = grad.contiguous()?;
        let dqkv = cpu::with_slices([qkv, &grad], |[qkv, g]| {
            let mut dqkv = vec![0.0; qkv.len()];
            let images = dqkv.par_chunks_mut(tokens * 3 * width).zip(qkv.par_chunks(tokens * 3 * width));
            images.zip(g.par_chunks(tokens * width)).for_each_init(
                || (vec![0.0; tokens * tokens], vec![0.0; tokens * tokens]),
                |(p, ds), ((dqkv, qkv), g)| {
                    for head in 0..self.heads {
                        head_backward(sizes, head, (qkv, g), (p, ds), dqkv);
                    }
                },
            );
            dqkv
        })?;
        Ok(Some(Tensor::from_vec(dqkv, qkv.shape(), qkv.device())?))
    }
}

/// The gradient of one head: with P the weights, dV = Pᵀ·dO, dS = P ∘ (dP − Σ dP∘P), dQ = dS·K/√d, dK = dSᵀ·Q/√d.
fn head_backward(
    sizes: Sizes,
    head: usize,
    (qkv, g): (&[f32], &[f32]),
    (p, ds): (&mut [f32], &mut [f32]),
    dqkv: &mut [f32],
) {
    let Sizes { tokens, width, depth } = sizes;
    let square = View::rows(tokens);
    let upstream = View { offset: head * depth, row: width, column: 1 };
    let (q, k, v) = (sizes.view(0, head), sizes.view(1, head), sizes.view(2, head));
    weights(qkv, sizes, head, p);
    matmul((tokens, depth, tokens), (dqkv, v), (p, square.transposed()), (g, upstream), 1.0, false, 1);
    matmul((tokens, tokens, depth), (ds, square), (g, upstream), (qkv, v.transposed()), 1.0, false, 1);
    cpu::simd(
        #[inline(always)]
        || {
            for (ds, p) in ds.chunks_exact_mut(tokens).zip(p.chunks_exact(tokens)) {
                let mean = cpu::sum(
                    tokens,
                    #[inline(always)]
                    |i| ds[i] * p[i],
                );
                for i in 0..tokens {
                    ds[i] = p[i] * (ds[i] - mean);
                }
            }
        },
    );
    let scale = sizes.scale();
    matmul((tokens, depth, tokens), (dqkv, q), (ds, square), (qkv, k), scale, false, 1);
    matmul((tokens, depth, tokens), (dqkv, k), (ds, square.transposed()), (qkv, q), scale, false, 1);
}
