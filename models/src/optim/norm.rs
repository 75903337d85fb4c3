//! The norm of all gradients together, by which they are clipped.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use crate::Result;
use crate::ops::cpu;

/// Elements a partial sum: few enough for f32, and the same whatever the number of threads.
const PIECE: usize = 1 << 12;

/// The Euclidean norm of the gradients of these parameters, as `torch.nn.utils.clip_grad_norm_` takes it. A parameter without
/// a gradient adds nothing.
pub fn gradient_norm(gradients: &GradStore, parameters: &BTreeMap<String, Var>) -> Result<f64> {
    let mut squares = 0.0;
    for gradient in parameters.values().filter_map(|var| gradients.get(var.as_tensor())) {
        squares += if cpu::applies(gradient) { sum_of_squares(gradient)? } else { composed(gradient)? };
    }
    Ok(squares.sqrt())
}

fn sum_of_squares(gradient: &Tensor) -> Result<f64> {
    let piece = |values: &[f32]| {
        f64::from(cpu::simd(
            #[inline(always)]
            || cpu::sum(values.len(), |i| values[i] * values[i]),
        ))
    };
    Ok(cpu::with_slices([&gradient.contiguous()?], |[values]| values.chunks(PIECE).map(piece).sum())?)
}

fn composed(gradient: &Tensor) -> Result<f64> {
    Ok(f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?))
}
