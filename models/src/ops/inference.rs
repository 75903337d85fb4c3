//! The forward pass of layers in a row where nothing is trained: memory is used again as soon as nobody holds its images.
//!
//! Candle would fill every result with zeros before it is written, on one thread.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{Result, Tensor, bail};

use super::activation::Activation;
use super::batch_norm::{self, Moments, Norm};
use super::channels::scaled;
use super::conv::{self, Finish, Geometry, folded};
use super::cpu::applies;
use super::pool::{self, Window, plane_means};
use super::profile::{Kind, timed};
use super::tile::with_view;

/// Buffers that nobody holds.
type Kept = Rc<RefCell<Vec<Vec<f32>>>>;

/// Images between layers; clones share them.
#[derive(Clone)]
pub struct Images(Rc<Held>);

impl Images {
    /// The mean of each channel, `[n, channels]`.
    pub fn means(&self) -> Result<Tensor> {
        let [n, channels, height, width] = self.0.shape;
        Tensor::from_vec(plane_means(&self.0.data, height * width), (n, channels), &candle_core::Device::Cpu)
    }
}

struct Held {
    shape: [usize; 4],
    data: Vec<f32>,
    kept: Kept,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.kept.borrow_mut().push(std::mem::take(&mut self.data));
    }
}

/// A batch normalisation by running statistics `(mean, variance)`. Its residual is left alone.
pub type Running<'a> = (Norm<'a>, (&'a Tensor, &'a Tensor));

/// One forward pass.
#[derive(Default)]
pub struct Inference {
    kept: Kept,
}

impl Inference {
    /// Whether a pass can begin at `x`: f32 on the CPU, `[n, c, h, w]`, of which no gradient is asked for.
    pub fn suits(x: &Tensor) -> bool {
        applies(x) && x.rank() == 4 && x.elem_count() > 0 && !x.track_op()
    }

    /// Begins at `x`, `[n, c, h, w]`.
    pub fn begin(&self, x: &Tensor) -> Result<Images> {
        let shape = x.dims4()?.into();
        let mut data = self.take(x.elem_count());
        with_view(x, |x| data.copy_from_slice(x))?;
        Ok(self.images(shape, data))
    }

    /// `activation(norm(conv(x, w) + bias) + residual)` as [`super::conv2d_norm`] has it, without bias, normalisation or
    /// addition where there is none.
    pub fn convolution(
        &self,
        x: &Images,
        (w, bias): (&Tensor, Option<&Tensor>),
        (stride, padding, groups): (usize, usize, usize),
        norm: Option<Running<'_>>,
        residual: Option<&Images>,
        activation: Activation,
    ) -> Result<Images> {
        let geometry = Geometry::new(&x.0.shape, w.dims(), stride, padding, groups)?;
        let shape: [usize; 4] = geometry.out_shape().into();
        check("conv2d", shape, norm, residual)?;
        if let Some(bias) = bias.filter(|bias| bias.dims() != [shape[1]]) {
            bail!("conv2d: images {shape:?}, but a bias of shape {:?}", bias.dims())
        }
        let bias = bias.map(Tensor::to_vec1::<f32>).transpose()?;
        let folded = norm.map(|(norm, running)| folded(norm, running)).transpose()?;
        let (scale, shift) = match (folded, bias) {
            (Some((scale, mut shift)), Some(bias)) => {
                shift.iter_mut().zip(&scale).zip(bias).for_each(|((shift, scale), bias)| *shift += scale * bias);
                (Some(scale), Some(shift))
            }
            (Some((scale, shift)), None) => (Some(scale), Some(shift)),
            (None, bias) => (None, bias),
        };
        let mut y = self.take(shape.iter().product());
        with_view(w, |w| {
            let (scale, shift) = (scale.as_deref(), shift.as_deref());
            let residual = residual.map(|residual| residual.0.data.as_slice());
            let finish = Finish { scale, shift, residual, ..Finish::default() };
            let run = || conv::forward_activated(&geometry, &x.0.data, w, finish, activation, &mut y);
            timed(Kind::Convolution, geometry.operations(), run);
        })?;
        Ok(self.images(shape, y))
    }

    /// [`super::batch_norm`] by running statistics.
    pub fn normalisation(&self, x: &Images, (norm, running): Running<'_>) -> Result<Images> {
        let shape = x.0.shape;
        check("batch_norm", shape, Some((norm, running)), None)?;
        let affine = batch_norm::affine(norm.weight, norm.bias)?;
        let moments = Moments { mean: running.0.to_vec1()?, var: running.1.to_vec1()? };
        let mut y = self.take(x.0.data.len());
        timed(Kind::Normalisation, 0.0, || {
            batch_norm::normalise(&shape, &x.0.data, (&affine, &moments, norm.eps as f32), None, norm.relu, &mut y);
        });
        Ok(self.images(shape, y))
    }

    /// [`super::max_pool2d`].
    pub fn max_pool(&self, x: &Images, kernel: usize, stride: usize, padding: usize) -> Result<Images> {
        let [n, channels, ..] = x.0.shape;
        let window = Window::new(&x.0.shape, kernel, stride, padding)?;
        let shape = [n, channels, window.out_height, window.out_width];
        let mut y = self.take(shape.iter().product());
        pool::max_forward(&window, &x.0.data, &mut y);
        Ok(self.images(shape, y))
    }

    /// Every channel of `images` times its entry of `scales`, `[n, channels]`.
    pub fn scale(&self, images: Images, scales: &Tensor) -> Result<Images> {
        let [n, channels, height, width] = images.0.shape;
        if scales.dims() != [n, channels] {
            bail!("scale: images {:?}, but scales {:?}", images.0.shape, scales.dims())
        }
        let mut data = self.take(images.0.data.len());
        with_view(scales, |scales| scaled(&images.0.data, scales, height * width, &mut data))?;
        Ok(self.images(images.0.shape, data))
    }

    /// Ends with `images` as a tensor.
    pub fn finish(self, images: Images) -> Result<Tensor> {
        let shape = images.0.shape;
        let data = match Rc::try_unwrap(images.0) {
            Ok(mut alone) => std::mem::take(&mut alone.data),
            Err(shared) => shared.data.clone(),
        };
        Tensor::from_vec(data, &shape, &candle_core::Device::Cpu)
    }

    fn images(&self, shape: [usize; 4], data: Vec<f32>) -> Images {
        Images(Rc::new(Held { shape, data, kept: self.kept.clone() }))
    }

    /// `len` floats with arbitrary content.
    fn take(&self, len: usize) -> Vec<f32> {
        let mut kept = self.kept.borrow_mut();
        let fits = |buffer: &Vec<f32>| (len..=2 * len).contains(&buffer.len());
        let best = (0..kept.len()).filter(|&i| fits(&kept[i])).min_by_key(|&i| kept[i].len());
        let found = best.map(|i| kept.swap_remove(i));
        drop(kept);
        let mut buffer = found.unwrap_or_else(|| vec![0.0; len]);
        buffer.truncate(len);
        buffer
    }
}

fn check(what: &str, shape: [usize; 4], norm: Option<Running<'_>>, residual: Option<&Images>) -> Result<()> {
    if shape.contains(&0) {
        bail!("{what}: images of shape {shape:?}")
    }
    if let Some((norm, (mean, var))) = norm
        && [norm.weight, norm.bias, mean, var].iter().any(|tensor| tensor.dims() != [shape[1]])
    {
        bail!("{what}: images {shape:?}, but weight {:?} and bias {:?}", norm.weight.dims(), norm.bias.dims())
    }
    match residual.map(|residual| residual.0.shape) {
        Some(found) if found != shape => bail!("{what}: images {shape:?}, but a residual of shape {found:?}"),
        _ => Ok(()),
    }
}
