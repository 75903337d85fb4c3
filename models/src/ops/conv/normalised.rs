//! A convolution with the batch normalisation, addition and ReLU behind it in one pass, for inference.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::finish::Finish;
use super::geometry::Geometry;
use super::{conv2d, kernels};
use crate::ops::activation::{Activation, silu_in_place};
use crate::ops::batch_norm::{Norm, batch_norm};
use crate::ops::cpu::applies;
use crate::ops::profile::{Kind, timed};
use crate::ops::tile::view;

/// `relu((conv(x, w) − mean) / √(var + ε) · weight + bias + residual)` with the running statistics `(mean, var)`.
///
/// `activation` comes last. The other arguments are those of [`conv2d`] and [`batch_norm`], of which it is made where a gradient may be asked for and
/// on other devices than the CPU. Otherwise the normalisation is a factor and a shift as the sums are stored.
pub fn conv2d_norm(
    x: &Tensor,
    w: &Tensor,
    norm: Norm<'_>,
    running: (&Tensor, &Tensor),
    stride: usize,
    padding: usize,
    activation: Activation,
) -> Result<Tensor> {
    let tracked = [Some(x), Some(w), Some(norm.weight), Some(norm.bias), norm.residual];
    let geometry = Geometry::new(x.dims(), w.dims(), stride, padding, x.dim(1)? / w.dim(1)?.max(1))?;
    let shapes_agree = norm.weight.dims() == [geometry.outputs]
        && norm.residual.is_none_or(|residual| residual.shape() == &Shape::from(geometry.out_shape()));
    if !applies(x) || !applies(w) || !shapes_agree || tracked.into_iter().flatten().any(Tensor::track_op) {
        let y = conv2d(x, w, None, stride, padding, geometry.groups)?;
        return activation.forward(&batch_norm(&y, norm, Some(running))?.0);
    }
    let (scale, shift) = folded(norm, running)?;
    let op = ConvNorm { geometry, scale, shift, relu: norm.relu, activation };
    match norm.residual {
        Some(residual) => x.apply_op3_no_bwd(w, residual, &op),
        None => x.apply_op2_no_bwd(w, &op),
    }
}

/// The normalisation as a factor and a shift for each channel.
pub(in crate::ops) fn folded(norm: Norm<'_>, running: (&Tensor, &Tensor)) -> Result<(Vec<f32>, Vec<f32>)> {
    let [weight, bias, mean, var] = [norm.weight, norm.bias, running.0, running.1].map(Tensor::to_vec1::<f32>);
    let (weight, bias, mean, var) = (weight?, bias?, mean?, var?);
    let scale: Vec<f32> = weight.iter().zip(&var).map(|(&w, &var)| w / (var + norm.eps as f32).sqrt()).collect();
    let shift = bias.iter().zip(&mean).zip(&scale).map(|((&b, &mean), &scale)| b - mean * scale).collect();
    Ok((scale, shift))
}

/// [`kernels::forward`], and then the activation.
pub(in crate::ops) fn forward_activated(
    g: &Geometry,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    activation: Activation,
    out: &mut [f32],
) {
    let relu = finish.relu || matches!(activation, Activation::Relu | Activation::Relu6);
    let ceiling = (activation == Activation::Relu6).then_some(6.0);
    kernels::forward(g, x, w, Finish { relu, ceiling, ..finish }, out);
    if activation == Activation::Silu {
        silu_in_place(out);
    }
}

struct ConvNorm {
    geometry: Geometry,
    scale: Vec<f32>,
    shift: Vec<f32>,
    relu: bool,
    activation: Activation,
}

impl ConvNorm {
    fn forward(&self, x: &[f32], w: &[f32], residual: Option<&[f32]>) -> (CpuStorage, Shape) {
        let shape = Shape::from(self.geometry.out_shape());
        let mut out = vec![0.0; shape.elem_count()];
        if !out.is_empty() {
            let (scale, shift) = (Some(&self.scale[..]), Some(&self.shift[..]));
            let finish = Finish { scale, shift, residual, relu: self.relu, ceiling: None };
            let run = || forward_activated(&self.geometry, x, w, finish, self.activation, &mut out);
            timed(Kind::Convolution, self.geometry.operations(), run);
        }
        (CpuStorage::F32(out), shape)
    }
}

impl CustomOp2 for ConvNorm {
    fn name(&self) -> &'static str {
        "conv2d-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(self.forward(&view(x, xl)?, &view(w, wl)?, None))
    }
}

impl CustomOp3 for ConvNorm {
    fn name(&self) -> &'static str {
        "conv2d-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        residual: &CpuStorage,
        rl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(self.forward(&view(x, xl)?, &view(w, wl)?, Some(&view(residual, rl)?)))
    }
}
