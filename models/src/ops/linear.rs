//! `y = x · wᵀ + b` with its gradients.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::cpu::{self, View, matmul};
use super::profile::{Kind, timed};

/// Affine map of the last dimension: `x [.., inputs]`, `w [outputs, inputs]`, `b [outputs]` → `[.., outputs]`.
pub fn linear(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    if cpu::applies(x) {
        return x.contiguous()?.apply_op3(w, b, Linear);
    }
    let inputs = x.dim(candle_core::D::Minus1)?;
    let rows = x.elem_count() / inputs;
    let y = x.reshape((rows, inputs))?.matmul(&w.t()?)?.broadcast_add(b)?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = w.dim(0)?;
    }
    y.reshape(shape)
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (outputs, inputs) = w_layout.shape().dims2()?;
        let mut shape = x_layout.dims().to_vec();
        match shape.last_mut() {
            Some(last) if *last == inputs => *last = outputs,
            _ => candle_core::bail!(
                "linear: input {:?} does not end with the {inputs} inputs of the weights",
                x_layout.dims()
            ),
        }
        let (x, w, b) = (cpu::slice(x, x_layout)?, cpu::slice(w, w_layout)?, cpu::slice(b, b_layout)?);
        if b.len() != outputs {
            candle_core::bail!("linear: bias of {} for {outputs} outputs", b.len());
        }
        let rows = x.len() / inputs;
        let mut y = Vec::with_capacity(rows * outputs);
        for _ in 0..rows {
            y.extend_from_slice(b);
        }
        let weights = View::rows(inputs).transposed();
        let result = (&mut y[..], View::rows(outputs));
        let (sizes, threads) = ((rows, outputs, inputs), cpu::threads());
        timed(Kind::Product, operations(sizes), || {
            matmul(sizes, result, (x, View::rows(inputs)), (w, weights), 1.0, true, threads);
        });
        Ok((CpuStorage::F32(y), shape.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (outputs, inputs) = w.dims2()?;
        let rows = x.elem_count() / inputs;
        let grad = grad.contiguous()?;
        let threads = cpu::threads();
        let gradients = |[x, w, g]: [&[f32]; 3]| {
            let mut dx = vec![0.0; rows * inputs];
            let g_view = View::rows(outputs);
            let result = (&mut dx[..], View::rows(inputs));
            matmul((rows, inputs, outputs), result, (g, g_view), (w, View::rows(inputs)), 1.0, false, threads);
            let mut dw = vec![0.0; outputs * inputs];
            let result = (&mut dw[..], View::rows(inputs));
            let transposed = g_view.transposed();
            matmul((outputs, inputs, rows), result, (g, transposed), (x, View::rows(inputs)), 1.0, false, threads);
            (dx, dw, column_sums(g, outputs))
        };
        let both = 2.0 * operations((rows, inputs, outputs));
        let (dx, dw, db) = timed(Kind::Product, both, || cpu::with_slices([x, w, &grad], gradients))?;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dw, w.shape(), w.device())?),
            Some(Tensor::from_vec(db, outputs, w.device())?),
        ))
    }
}

fn operations((rows, outputs, inputs): (usize, usize, usize)) -> f64 {
    2.0 * (rows * outputs) as f64 * inputs as f64
}

/// The sum over the rows of a row-major matrix.
pub fn column_sums(matrix: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0; columns];
    cpu::simd(
        #[inline(always)]
        || {
            for row in matrix.chunks_exact(columns) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        },
    );
    sums
}
