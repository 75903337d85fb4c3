//! Batch normalisation of NCHW images with an optional residual addition and ReLU in the same pass over memory.

mod kernels;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Device, Layout, Result, Shape, Tensor, bail};

use self::kernels::{Affine, Planar};
pub(super) use self::kernels::{Given, Moments};
use super::cpu::applies;
use super::profile::{Kind, timed};
use super::tile::{view, with_view};

/// Mean and (biased) variance of each channel of a batch, both `[channels]`, outside any gradient graph.
pub struct BatchStats {
    pub mean: Tensor,
    pub var: Tensor,
}

/// The learned part of a batch normalisation, and what follows it.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// Scale, `[channels]`.
    pub weight: &'a Tensor,
    /// Shift, `[channels]`.
    pub bias: &'a Tensor,
    /// Added to the variance; PyTorch's default is 1e-5.
    pub eps: f64,
    /// Added to the normalised images, of their shape.
    pub residual: Option<&'a Tensor>,
    /// Whether the result passes through `max(0, ·)`, after the addition.
    pub relu: bool,
}

/// `relu(norm(x) · weight + bias + residual)` of `[n, c, h, w]` images.
///
/// With `running` (mean, variance) it normalises by these, as in evaluation, and the statistics returned are `None`;
/// without, by the statistics of the batch, which are returned for the running average. A batch of one value a channel
/// has variance zero and gives the bias, never NaN.
pub fn batch_norm(
    x: &Tensor,
    norm: Norm<'_>,
    running: Option<(&Tensor, &Tensor)>,
) -> Result<(Tensor, Option<BatchStats>)> {
    let (_, channels, _, _) = x.dims4()?;
    if norm.weight.dims() != [channels] || norm.bias.dims() != [channels] {
        bail!("batch_norm: images {:?}, but weight {:?} and bias {:?}", x.dims(), norm.weight.dims(), norm.bias.dims())
    }
    if let Some(residual) = norm.residual
        && residual.dims() != x.dims()
    {
        bail!("batch_norm: images {:?}, but a residual of shape {:?}", x.dims(), residual.dims())
    }
    if !applies(x) || !applies(norm.weight) {
        return composed(x, norm, running);
    }
    let fixed = match running {
        Some((mean, var)) => Some(Moments { mean: mean.to_vec1()?, var: var.to_vec1()? }),
        None => None,
    };
    let moments = Arc::new(OnceLock::new());
    let op = BatchNorm { fixed, moments: moments.clone(), eps: norm.eps as f32, relu: norm.relu };
    let affine = Tensor::stack(&[norm.weight, norm.bias], 0)?;
    let y = match norm.residual {
        Some(residual) => x.apply_op3(&affine, residual, op)?,
        None => x.apply_op2(&affine, op)?,
    };
    let stats = match (running, moments.get()) {
        (None, Some(m)) => Some(m.stats(x.device())?),
        _ => None,
    };
    Ok((y, stats))
}

/// The same from candle's operations, for the other devices.
fn composed(x: &Tensor, norm: Norm<'_>, running: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, Option<BatchStats>)> {
    let channels = x.dim(1)?;
    let spread = |t: &Tensor| t.reshape((1, channels, 1, 1));
    let (mean, var) = match running {
        Some((mean, var)) => (spread(mean)?, spread(var)?),
        None => {
            let flat = x.transpose(0, 1)?.flatten_from(1)?; // [c, n·h·w]
            let mean = flat.mean_keepdim(D::Minus1)?;
            let var = flat.broadcast_sub(&mean)?.sqr()?.mean(D::Minus1)?;
            (spread(&mean)?, spread(&var)?)
        }
    };
    let scale = spread(norm.weight)?.div(&(&var + norm.eps)?.sqrt()?)?;
    let mut y = x.broadcast_sub(&mean)?.broadcast_mul(&scale)?.broadcast_add(&spread(norm.bias)?)?;
    if let Some(residual) = norm.residual {
        y = (y + residual)?;
    }
    if norm.relu {
        y = y.relu()?;
    }
    let stats = match running {
        Some(_) => None,
        None => Some(BatchStats { mean: mean.flatten_all()?.detach(), var: var.flatten_all()?.detach() }),
    };
    Ok((y, stats))
}

impl Moments {
    /// As tensors, outside any graph.
    pub(super) fn stats(&self, device: &Device) -> Result<BatchStats> {
        Ok(BatchStats {
            mean: Tensor::new(self.mean.as_slice(), device)?,
            var: Tensor::new(self.var.as_slice(), device)?,
        })
    }
}

/// Weights, then biases.
pub(super) fn affine(weight: &Tensor, bias: &Tensor) -> Result<Vec<f32>> {
    Ok([weight.to_vec1::<f32>()?, bias.to_vec1()?].concat())
}

/// The statistics of a batch of this shape.
pub(super) fn moments(shape: &[usize], x: &[f32]) -> Moments {
    kernels::moments(Planar::new(shape), x)
}

/// Weights and biases as [`affine`] gives them, statistics and ε.
pub(super) type Scales<'a> = (&'a [f32], &'a Moments, f32);

/// `y = relu(norm(x) · weight + bias + residual)`, as asked for.
pub(super) fn normalise(
    shape: &[usize],
    x: &[f32],
    (affine, moments, eps): Scales<'_>,
    residual: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    kernels::normalise(Planar::new(shape), x, Affine::new(affine, moments, eps), residual, relu, y);
}

/// Fills `dx` and, unless it is empty, `dresidual`; returns the gradients of the weights, then of the biases.
pub(super) fn backward(
    shape: &[usize],
    given: Given<'_>,
    (affine, moments, eps): Scales<'_>,
    dx: &mut [f32],
    dresidual: &mut [f32],
) -> Vec<f32> {
    let mut daffine = vec![0.0; affine.len()];
    let scales = Affine::new(affine, moments, eps);
    kernels::backward(Planar::new(shape), given, &scales, dx, &mut daffine, dresidual);
    daffine
}

struct BatchNorm {
    /// Given statistics: they take no part in the gradient.
    fixed: Option<Moments>,
    /// The statistics used, set by the forward pass.
    moments: Arc<OnceLock<Moments>>,
    eps: f32,
    relu: bool,
}

impl BatchNorm {
    fn forward(
        &self,
        x: &[f32],
        layout: &Layout,
        affine: &[f32],
        residual: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let planar = Planar::new(layout.dims());
        let mut y = vec![0.0; x.len()];
        timed(Kind::Normalisation, 0.0, || {
            let of_batch = || kernels::moments(planar, x);
            let moments = self.moments.get_or_init(|| self.fixed.clone().unwrap_or_else(of_batch));
            kernels::normalise(planar, x, Affine::new(affine, moments, self.eps), residual, self.relu, &mut y);
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    /// Gradients of the images, of `[weight; bias]` and of the residual.
    fn backward(
        &self,
        x: &Tensor,
        affine: &Tensor,
        y: &Tensor,
        dy: &Tensor,
        residual: bool,
    ) -> Result<[Option<Tensor>; 3]> {
        let Some(moments) = self.moments.get() else { bail!("batch_norm: backward before forward") };
        let planar = Planar::new(x.dims());
        let mut dx = vec![0.0; x.elem_count()];
        let mut daffine = vec![0.0; affine.elem_count()];
        // Without ReLU the residual's gradient is the output's.
        let mut dresidual = if residual && self.relu { vec![0.0; x.elem_count()] } else { Vec::new() };
        let scales = with_view(affine, |affine| Affine::new(affine, moments, self.eps))?;
        with_view(x, |x| {
            with_view(dy, |dy| {
                with_view(y, |y| {
                    let (y, fixed) = (self.relu.then_some(y), self.fixed.is_some());
                    let given = Given { x, dy: Some(dy), y, fixed, onto: None };
                    timed(Kind::Normalisation, 0.0, || {
                        kernels::backward(planar, given, &scales, &mut dx, &mut daffine, &mut dresidual);
                    });
                })
            })
        })???;
        let dresidual = match (residual, self.relu) {
            (false, _) => None,
            (true, false) => Some(dy.clone()),
            (true, true) => Some(Tensor::from_vec(dresidual, x.shape(), x.device())?),
        };
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        Ok([Some(dx), Some(Tensor::from_vec(daffine, affine.shape(), x.device())?), dresidual])
    }
}

impl CustomOp2 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, a: &CpuStorage, al: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(&view(x, xl)?, xl, &view(a, al)?, None)
    }

    fn bwd(&self, x: &Tensor, a: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, da, _] = self.backward(x, a, y, dy, false)?;
        Ok((dx, da))
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        a: &CpuStorage,
        al: &Layout,
        r: &CpuStorage,
        rl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(&view(x, xl)?, xl, &view(a, al)?, Some(&view(r, rl)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        _: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, da, dr] = self.backward(x, a, y, dy, true)?;
        Ok((dx, da, dr))
    }
}
