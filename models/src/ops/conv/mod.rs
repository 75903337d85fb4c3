//! 2-D convolution with a fast CPU gradient. On other devices, and for other number types, candle's own.

mod depthwise;
mod direct;
mod finish;
mod geometry;
mod kernels;
mod normalised;
mod panels;
mod patches;
mod winograd;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

pub(super) use self::finish::Finish;
pub(super) use self::geometry::Geometry;
pub(super) use self::kernels::{forward, grad_input, grad_kernel};
pub use self::normalised::conv2d_norm;
pub(super) use self::normalised::{folded, forward_activated};
use super::cpu::applies;
use super::profile::{Kind, timed};
use super::tile::{view, with_view};

/// Convolution (cross-correlation, as in PyTorch) of NCHW images.
///
/// `x`: `[n, inputs, h, w]`; `w`: `[outputs, inputs / groups, kh, kw]`; `bias`: `[outputs]`. `stride` and `padding`
/// (zeros) are the same in both directions. Result: `[n, outputs, oh, ow]` with `oh = (h + 2·padding − kh) / stride + 1`.
pub fn conv2d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
    groups: usize,
) -> Result<Tensor> {
    let geometry = Geometry::new(x.dims(), w.dims(), stride, padding, groups)?;
    if let Some(bias) = bias
        && bias.dims() != [geometry.outputs]
    {
        bail!("conv2d: {} output channels, but a bias of shape {:?}", geometry.outputs, bias.dims())
    }
    if applies(x) && applies(w) {
        return match bias {
            Some(bias) => x.apply_op3(w, bias, Conv2d(geometry)),
            None => x.apply_op2(w, Conv2d(geometry)),
        };
    }
    let y = composed(x, w, &geometry)?;
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, geometry.outputs, 1, 1))?),
        None => Ok(y),
    }
}

/// By candle's operations, for the other devices.
fn composed(x: &Tensor, w: &Tensor, g: &Geometry) -> Result<Tensor> {
    let unused = |size: usize, kernel: usize| (size + 2 * g.padding - kernel) % g.stride;
    if unused(g.height, g.kh) == unused(g.width, g.kw) {
        return x.conv2d(w, g.padding, g.stride, 1, g.groups);
    }
    // Candle's gradient takes it that as many rows as columns lie beyond the last windows: leave none.
    let used = |out: usize, kernel: usize| (out - 1) * g.stride + kernel;
    let framed = x.pad_with_zeros(2, g.padding, g.padding)?.pad_with_zeros(3, g.padding, g.padding)?;
    let cut = framed.narrow(2, 0, used(g.out_height, g.kh))?.narrow(3, 0, used(g.out_width, g.kw))?;
    cut.contiguous()?.conv2d(w, 0, g.stride, 1, g.groups)
}

struct Conv2d(Geometry);

impl Conv2d {
    fn timed<R>(&self, f: impl FnOnce() -> R) -> R {
        timed(Kind::Convolution, self.0.operations(), f)
    }

    fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> (CpuStorage, Shape) {
        let shape = Shape::from(self.0.out_shape());
        let mut out = vec![0.0; shape.elem_count()];
        if !out.is_empty() {
            self.timed(|| kernels::forward(&self.0, x, w, Finish::bias(bias), &mut out));
        }
        (CpuStorage::F32(out), shape)
    }

    fn grad_input(&self, x: &Tensor, w: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let mut dx = vec![0.0; x.elem_count()];
        if !dx.is_empty() {
            self.timed(|| with_view(w, |w| with_view(dy, |dy| kernels::grad_input(&self.0, w, dy, None, &mut dx))))??;
        }
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }

    fn grad_kernel(&self, x: &Tensor, w: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !w.track_op() {
            return Ok(None);
        }
        let mut dw = vec![0.0; w.elem_count()];
        if x.elem_count() > 0 && !dw.is_empty() {
            self.timed(|| with_view(x, |x| with_view(dy, |dy| kernels::grad_kernel(&self.0, x, dy, &mut dw))))??;
        }
        Tensor::from_vec(dw, w.shape(), w.device()).map(Some)
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(self.forward(&view(x, xl)?, &view(w, wl)?, None))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.grad_input(x, w, dy)?, self.grad_kernel(x, w, dy)?))
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(self.forward(&view(x, xl)?, &view(w, wl)?, Some(&view(bias, bl)?)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut db = vec![0.0; self.0.outputs];
        if dy.elem_count() > 0 {
            with_view(dy, |dy| kernels::grad_bias(&self.0, dy, &mut db))?;
        }
        let db = Tensor::from_vec(db, bias.shape(), bias.device())?;
        Ok((self.grad_input(x, w, dy)?, self.grad_kernel(x, w, dy)?, Some(db)))
    }
}
