//! Batch normalisation on the CPU: one task a channel, whose planes stay in the cache between the passes.

use std::ops::Range;

use rayon::prelude::*;

use crate::ops::cpu::simd;
use crate::ops::tile::{Planes, fold, sum};

/// The layout of NCHW images as planes.
#[derive(Clone, Copy)]
pub(super) struct Planar {
    images: usize,
    channels: usize,
    pixels: usize,
}

impl Planar {
    pub fn new(dims: &[usize]) -> Self {
        Self { images: dims[0], channels: dims[1], pixels: dims[2] * dims[3] }
    }

    /// The plane numbers of one channel.
    fn planes(self, channel: usize) -> impl Iterator<Item = usize> + Clone {
        (0..self.images).map(move |image| image * self.channels + channel)
    }

    fn plane(self, data: &[f32], index: usize) -> &[f32] {
        &data[index * self.pixels..][..self.pixels]
    }

    /// Values of one channel.
    fn count(self) -> f32 {
        (self.images * self.pixels).max(1) as f32
    }
}

/// Mean and biased variance of each channel.
#[derive(Clone)]
pub(in crate::ops) struct Moments {
    pub mean: Vec<f32>,
    pub var: Vec<f32>,
}

/// In two passes, so that a large mean does not swallow the variance.
pub(super) fn moments(p: Planar, x: &[f32]) -> Moments {
    let of_channel = |channel: usize| {
        simd(|| {
            let total: f64 = p.planes(channel).map(|i| f64::from(sum(p.plane(x, i)))).sum();
            let mean = (total / f64::from(p.count())) as f32;
            let square = |v: f32, _: f32| (v - mean) * (v - mean);
            let total: f64 = p.planes(channel).map(|i| p.plane(x, i)).map(|x| f64::from(fold(x, x, square))).sum();
            (mean, (total / f64::from(p.count())) as f32)
        })
    };
    let (mean, var) = (0..p.channels).into_par_iter().map(of_channel).unzip();
    Moments { mean, var }
}

/// What a channel's values are multiplied with and shifted by.
#[derive(Clone, Copy)]
struct Channel {
    mean: f32,
    /// 1 / standard deviation.
    inverse: f32,
    weight: f32,
    bias: f32,
}

pub(super) struct Affine(Vec<Channel>);

impl Affine {
    /// `affine`: the weights of all channels, then their biases.
    pub fn new(affine: &[f32], moments: &Moments, eps: f32) -> Self {
        let (weights, biases) = affine.split_at(affine.len() / 2);
        let learned = weights.iter().zip(biases);
        let channels = learned.zip(moments.mean.iter().zip(&moments.var));
        let build = |((&weight, &bias), (&mean, &var)): ((&f32, &f32), (&f32, &f32))| Channel {
            mean,
            inverse: 1.0 / (var + eps).sqrt(),
            weight,
            bias,
        };
        Self(channels.map(build).collect())
    }
}

/// `y = relu((x − mean) · inverse · weight + bias + residual)`.
pub(super) fn normalise(p: Planar, x: &[f32], affine: Affine, residual: Option<&[f32]>, relu: bool, y: &mut [f32]) {
    if p.pixels == 0 {
        return;
    }
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let lines = y.par_chunks_mut(p.channels * p.pixels).zip(x.par_chunks(p.channels * p.pixels)).enumerate();
    lines.for_each(|(image, (y, x))| {
        simd(|| {
            let planes = y.chunks_exact_mut(p.pixels).zip(x.chunks_exact(p.pixels)).zip(&affine.0);
            for (channel, ((y, x), c)) in planes.enumerate() {
                let scale = c.inverse * c.weight;
                let value = |x: f32| (x - c.mean) * scale + c.bias;
                match residual {
                    None => y.iter_mut().zip(x).for_each(|(y, &x)| *y = clamp(value(x), floor)),
                    Some(residual) => {
                        let r = p.plane(residual, image * p.channels + channel);
                        let values = y.iter_mut().zip(x).zip(r);
                        values.for_each(|((y, &x), &r)| *y = clamp(value(x) + r, floor));
                    }
                }
            }
        });
    });
}

/// `max(value, floor)` that lets NaN through, so that a diverged run shows it.
#[inline(always)]
fn clamp(value: f32, floor: f32) -> f32 {
    if value < floor { floor } else { value }
}

/// What the backward pass reads.
pub(in crate::ops) struct Given<'a> {
    pub x: &'a [f32],
    /// The output's gradient; `None` if it is where the input's will be.
    pub dy: Option<&'a [f32]>,
    /// The output, where a ReLU made it.
    pub y: Option<&'a [f32]>,
    /// The statistics were given, not taken from `x`.
    pub fixed: bool,
    /// Added to the input's gradient.
    pub onto: Option<&'a [f32]>,
}

/// Fills `dx`, `daffine` (weights, then biases) and, unless it is empty, `dresidual`.
pub(super) fn backward(
    p: Planar,
    given: Given<'_>,
    affine: &Affine,
    dx: &mut [f32],
    daffine: &mut [f32],
    dresidual: &mut [f32],
) {
    let task = Backward { p, given, dx: Planes::new(dx, p.pixels), dresidual: Planes::new(dresidual, p.pixels) };
    let channels = affine.0.par_iter().enumerate();
    let sums: Vec<_> = channels.map(|(channel, c)| simd(|| task.channel(channel, c))).collect();
    let (dweight, dbias) = daffine.split_at_mut(p.channels);
    for ((dw, db), (sum_dz, sum_dzx)) in dweight.iter_mut().zip(dbias).zip(sums) {
        (*dw, *db) = (sum_dzx, sum_dz);
    }
}

/// Pixels whose gradient before the ReLU lies at hand.
const CHUNK: usize = 256;

struct Backward<'a> {
    p: Planar,
    given: Given<'a>,
    dx: Planes<'a>,
    /// Empty if it isn't wanted.
    dresidual: Planes<'a>,
}

impl Backward<'_> {
    /// Σ dz and Σ dz·x̂ of one channel, with dz the gradient before the ReLU and x̂ the normalised input; then its gradients.
    #[inline(always)]
    fn channel(&self, channel: usize, c: &Channel) -> (f32, f32) {
        let Self { p, given, dresidual, .. } = self;
        let (mut total, mut product) = (0.0f64, 0.0f64);
        self.chunks(channel, |_, range, x, dz, _| {
            total += f64::from(sum(dz));
            product += f64::from(fold(dz, &x[range], |dz, x| dz * (x - c.mean)));
        });
        let sums = (total as f32, product as f32 * c.inverse);
        let (mean_dz, mean_dzx) = if given.fixed { (0.0, 0.0) } else { (sums.0 / p.count(), sums.1 / p.count()) };
        let scale = c.weight * c.inverse;
        self.chunks(channel, |plane, range, x, dz, dx| {
            let grad = |x: f32, dz: f32| (dz - mean_dz - (x - c.mean) * c.inverse * mean_dzx) * scale;
            let values = dx[range.clone()].iter_mut().zip(&x[range.clone()]).zip(&*dz);
            match given.onto {
                None => values.for_each(|((dx, &x), &dz)| *dx = grad(x, dz)),
                Some(onto) => {
                    let onto = &p.plane(onto, plane)[range.clone()];
                    values.zip(onto).for_each(|(((dx, &x), &dz), &onto)| *dx = grad(x, dz) + onto);
                }
            }
            if !dresidual.is_empty() {
                // SAFETY: the plane belongs to this channel's task, and to one step of this loop.
                let dresidual = unsafe { dresidual.plane(plane) };
                dresidual[range].copy_from_slice(dz);
            }
        });
        sums
    }

    /// Calls `f` with the number of each plane of a channel, a range of its pixels, the input, dz of the range and the
    /// plane of the input's gradient.
    #[inline(always)]
    fn chunks(&self, channel: usize, mut f: impl FnMut(usize, Range<usize>, &[f32], &mut [f32], &mut [f32])) {
        let (p, given) = (self.p, &self.given);
        let mut dz = [0.0f32; CHUNK];
        for plane in p.planes(channel).filter(|_| p.pixels > 0) {
            // SAFETY: the plane belongs to this channel's task, and to one step of this loop.
            let dx = unsafe { self.dx.plane(plane) };
            let (x, y, dy) = (p.plane(given.x, plane), given.y.map(|y| p.plane(y, plane)), given.dy);
            for start in (0..p.pixels).step_by(CHUNK) {
                let range = start..(start + CHUNK).min(p.pixels);
                let dz = &mut dz[..range.len()];
                let dy = dy.map_or(&*dx, |dy| p.plane(dy, plane));
                match y {
                    None => dz.copy_from_slice(&dy[range.clone()]),
                    Some(y) => {
                        let pairs = dy[range.clone()].iter().zip(&y[range.clone()]);
                        dz.iter_mut().zip(pairs).for_each(|(dz, (&dy, &y))| *dz = masked(dy, y));
                    }
                }
                f(plane, range, x, dz, dx);
            }
        }
    }
}

/// The gradient that a ReLU with output `y` lets through.
#[inline(always)]
fn masked(dy: f32, y: f32) -> f32 {
    if y > 0.0 { dy } else { 0.0 }
}
