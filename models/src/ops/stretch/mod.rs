//! A stretch of convolutions, normalisations and pools as one node of candle's gradient graph.
//!
//! Candle's backward pass fills a tensor with zeros and adds to it, on one thread, for every value of the graph; within a
//! stretch a gradient is simply handed on, buffers are used again, and additions are part of the pass that comes before.

mod backward;
mod buffers;
mod parameters;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use self::parameters::Gradients;
use super::batch_norm::{self, BatchStats, Moments, Norm};
use super::conv::{self, Finish, Geometry};
use super::cpu::applies;
use super::pool::{self, Window};
use super::profile::{Kind, timed};
use super::tile::with_view;

/// Images that a stretch has made, or its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value(usize);

/// What a stretch has done so far: each call computes at once and remembers what the gradients need.
pub struct Stretch {
    /// Contiguous.
    input: Tensor,
    values: Vec<Held>,
    steps: Vec<Step>,
    /// Weights, in the order in which they were used.
    parameters: Vec<Tensor>,
}

/// The elements of a value.
struct Held {
    shape: [usize; 4],
    data: Data,
}

enum Data {
    /// They are the input's.
    Input,
    Kept(Vec<f32>),
    /// They went into the resulting tensor.
    Output,
}

enum Step {
    Convolution(Convolution),
    Normalisation(Normalisation),
    MaxPool(MaxPool),
}

/// The largest value of each window of `x`.
struct MaxPool {
    x: Value,
    window: Window,
}

/// `conv(x, kernel) + residual`; parameters are named by their place.
struct Convolution {
    x: Value,
    kernel: usize,
    geometry: Geometry,
    residual: Option<Value>,
}

/// `relu(norm(x) · weight + bias + residual)`.
struct Normalisation {
    x: Value,
    weight: usize,
    bias: usize,
    moments: Moments,
    eps: f32,
    residual: Option<Value>,
    relu: bool,
}

impl Stretch {
    /// Whether a stretch can begin at `x`: f32 on the CPU, `[n, c, h, w]`.
    pub fn suits(x: &Tensor) -> bool {
        applies(x) && x.rank() == 4 && x.elem_count() > 0
    }

    /// Begins at `x`, `[n, c, h, w]`.
    pub fn new(x: &Tensor) -> Result<(Self, Value)> {
        let (n, c, h, w) = x.dims4()?;
        let values = vec![Held { shape: [n, c, h, w], data: Data::Input }];
        Ok((Self { input: x.contiguous()?, values, steps: Vec::new(), parameters: Vec::new() }, Value(0)))
    }

    /// `conv(x, w) + residual`, as [`super::conv2d`] has it.
    pub fn convolution(
        &mut self,
        x: Value,
        w: &Tensor,
        (stride, padding, groups): (usize, usize, usize),
        residual: Option<Value>,
    ) -> Result<Value> {
        let geometry = Geometry::new(&self.values[x.0].shape, w.dims(), stride, padding, groups)?;
        let shape = <[usize; 4]>::from(geometry.out_shape());
        if shape.contains(&0) {
            bail!("conv2d: a kernel of shape {:?} makes nothing", w.dims())
        }
        self.check_residual("conv2d", residual, shape)?;
        let w = self.weights(w)?;
        let mut y = buffers::take(shape.iter().product());
        self.with(x, |x| {
            self.with_optional(residual, |residual| {
                with_view(&w, |w| {
                    let finish = Finish { residual, ..Finish::default() };
                    timed(Kind::Convolution, geometry.operations(), || conv::forward(&geometry, x, w, finish, &mut y));
                })
            })
        })???;
        let kernel = self.parameter(w);
        Ok(self.push(Step::Convolution(Convolution { x, kernel, geometry, residual }), shape, y))
    }

    /// [`super::batch_norm`] by the statistics of the batch, which are returned; `norm.residual` is left alone in favour of
    /// `residual`.
    pub fn normalisation(&mut self, x: Value, norm: Norm<'_>, residual: Option<Value>) -> Result<(Value, BatchStats)> {
        let shape = self.values[x.0].shape;
        if norm.weight.dims() != [shape[1]] || norm.bias.dims() != [shape[1]] {
            bail!("batch_norm: images {shape:?}, but weight {:?} and bias {:?}", norm.weight.dims(), norm.bias.dims())
        }
        self.check_residual("batch_norm", residual, shape)?;
        let (weight, bias) = (self.weights(norm.weight)?, self.weights(norm.bias)?);
        let (eps, relu) = (norm.eps as f32, norm.relu);
        let affine = batch_norm::affine(&weight, &bias)?;
        let mut y = buffers::take(shape.iter().product());
        let moments = self.with(x, |x| {
            self.with_optional(residual, |residual| {
                timed(Kind::Normalisation, 0.0, || {
                    let moments = batch_norm::moments(&shape, x);
                    batch_norm::normalise(&shape, x, (&affine, &moments, eps), residual, relu, &mut y);
                    moments
                })
            })
        })??;
        let stats = moments.stats(weight.device())?;
        let (weight, bias) = (self.parameter(weight), self.parameter(bias));
        let step = Normalisation { x, weight, bias, moments, eps, residual, relu };
        Ok((self.push(Step::Normalisation(step), shape, y), stats))
    }

    /// [`super::max_pool2d`].
    pub fn max_pool(&mut self, x: Value, kernel: usize, stride: usize, padding: usize) -> Result<Value> {
        let [n, c, ..] = self.values[x.0].shape;
        let window = Window::new(&self.values[x.0].shape, kernel, stride, padding)?;
        let shape = [n, c, window.out_height, window.out_width];
        let mut y = buffers::take(shape.iter().product());
        self.with(x, |x| pool::max_forward(&window, x, &mut y))?;
        Ok(self.push(Step::MaxPool(MaxPool { x, window }), shape, y))
    }

    /// Values of each channel of `x`.
    pub fn count(&self, x: Value) -> usize {
        let [n, _, h, w] = self.values[x.0].shape;
        n * h * w
    }

    /// Ends with `y` as a tensor of candle's graph.
    pub fn finish(mut self, y: Value) -> Result<Tensor> {
        if y.0 + 1 != self.values.len() {
            bail!("a stretch ends with what it made last");
        }
        let held = &mut self.values[y.0];
        let shape = Shape::from(held.shape.to_vec());
        let result = match std::mem::replace(&mut held.data, Data::Output) {
            Data::Kept(result) => result,
            // Nothing was done.
            Data::Input => return Ok(self.input),
            Data::Output => bail!("a stretch ends once"),
        };
        let gradients = Arc::new(Gradients::new(self.parameters.len()));
        let handle = parameters::handle(&self.parameters, &gradients)?;
        let input = self.input.clone();
        let op = Node { shape, result: Mutex::new(Some(result)), stretch: Mutex::new(Some(self)), gradients };
        input.apply_op2(&handle, op)
    }

    fn weights(&self, w: &Tensor) -> Result<Tensor> {
        if w.dtype() != DType::F32 || !w.device().is_cpu() {
            bail!("a stretch needs f32 weights on the CPU, found {:?} on {:?}", w.dtype(), w.device())
        }
        w.contiguous()
    }

    fn parameter(&mut self, parameter: Tensor) -> usize {
        self.parameters.push(parameter);
        self.parameters.len() - 1
    }

    fn push(&mut self, step: Step, shape: [usize; 4], y: Vec<f32>) -> Value {
        self.steps.push(step);
        self.values.push(Held { shape, data: Data::Kept(y) });
        Value(self.values.len() - 1)
    }

    fn check_residual(&self, what: &str, residual: Option<Value>, shape: [usize; 4]) -> Result<()> {
        match residual.map(|residual| self.values[residual.0].shape) {
            Some(found) if found != shape => bail!("{what}: images {shape:?}, but a residual of shape {found:?}"),
            _ => Ok(()),
        }
    }

    /// Calls `f` with the elements of a value that isn't the output.
    fn with<R>(&self, value: Value, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        match &self.values[value.0].data {
            Data::Input => with_view(&self.input, f),
            Data::Kept(data) => Ok(f(data)),
            Data::Output => bail!("the output of a stretch isn't kept"),
        }
    }

    fn with_optional<R>(&self, value: Option<Value>, f: impl FnOnce(Option<&[f32]>) -> R) -> Result<R> {
        match value {
            Some(value) => self.with(value, |data| f(Some(data))),
            None => Ok(f(None)),
        }
    }
}

/// The stretch as candle sees it: from the input and a handle on the parameters to the output.
struct Node {
    shape: Shape,
    /// Until candle takes it.
    result: Mutex<Option<Vec<f32>>>,
    /// Until the gradients are asked for.
    stretch: Mutex<Option<Stretch>>,
    gradients: Arc<Gradients>,
}

impl CustomOp2 for Node {
    fn name(&self) -> &'static str {
        "stretch"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(result) = result else { bail!("a stretch gives its result once") };
        Ok((CpuStorage::F32(result), self.shape.clone()))
    }

    fn bwd(&self, x: &Tensor, handle: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let stretch = self.stretch.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(stretch) = stretch else { bail!("a stretch has one backward pass: it gives its values up to it") };
        let dx = backward::backward(stretch, y, dy, &self.gradients)?;
        let dx = dx.map(|dx| Tensor::from_vec(dx, x.shape(), x.device())).transpose()?;
        Ok((dx, Some(handle.zeros_like()?)))
    }
}
