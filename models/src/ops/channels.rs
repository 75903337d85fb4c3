//! Operations on the channels of NCHW images: scaling (squeeze and excitation) and shuffling (ShuffleNet).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{applies, simd, sum};
use super::tile::{view, with_view};

/// Every plane of `x [n, c, h, w]` times its entry of `scale [n, c]`.
pub fn scale_channels(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    if scale.dims() != [n, c] {
        bail!("scale_channels: images {:?}, but scales {:?}", x.dims(), scale.dims())
    }
    if applies(x) && applies(scale) && h * w > 0 {
        return x.apply_op2(scale, Scale { plane: h * w });
    }
    x.broadcast_mul(&scale.reshape((n, c, 1, 1))?)
}

/// Channel `g · (c / groups) + i` moves to `i · groups + g`, so that the next grouped layer sees all groups.
pub fn shuffle_channels(x: &Tensor, groups: usize) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    if groups == 0 || !c.is_multiple_of(groups) {
        bail!("shuffle_channels: {c} channels do not fall into {groups} groups")
    }
    x.reshape((n, groups, c / groups, h * w))?.transpose(1, 2)?.contiguous()?.reshape((n, c, h, w))
}

struct Scale {
    plane: usize,
}

impl CustomOp2 for Scale {
    fn name(&self) -> &'static str {
        "scale-channels"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, scale: &CpuStorage, sl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, scale) = (view(x, xl)?, view(scale, sl)?);
        Ok((CpuStorage::F32(self.scaled(&x, &scale)), xl.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, scale: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dscale) = with_view(x, |x| {
            with_view(scale, |scale| {
                with_view(dy, |dy| {
                    let planes = x.par_chunks(self.plane).zip(dy.par_chunks(self.plane)).with_min_len(16);
                    let dot = |(x, dy): (&[f32], &[f32])| {
                        simd(
                            #[inline(always)]
                            || {
                                sum(
                                    x.len(),
                                    #[inline(always)]
                                    |i| x[i] * dy[i],
                                )
                            },
                        )
                    };
                    (self.scaled(dy, scale), planes.map(dot).collect::<Vec<f32>>())
                })
            })
        })???;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dscale, scale.shape(), scale.device())?),
        ))
    }
}

impl Scale {
    fn scaled(&self, x: &[f32], scale: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        scaled(x, scale, self.plane, &mut y);
        y
    }
}

/// Every plane of `x` times its entry of `scale`.
pub(super) fn scaled(x: &[f32], scale: &[f32], plane: usize, y: &mut [f32]) {
    let planes = y.par_chunks_mut(plane).zip(x.par_chunks(plane)).zip(scale).with_min_len(16);
    planes.for_each(|((y, x), &scale)| {
        simd(
            #[inline(always)]
            || y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * scale),
        );
    });
}
