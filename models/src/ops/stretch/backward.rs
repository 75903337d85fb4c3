//! The backward pass of a stretch: its steps in reverse, each of which gives up what it alone still needed.

use candle_core::{Result, Tensor};

use super::parameters::Gradients;
use super::{Convolution, Data, MaxPool, Normalisation, Step, Stretch, Value, buffers};
use crate::ops::batch_norm::{self, Given};
use crate::ops::conv;
use crate::ops::pool;
use crate::ops::profile::{Kind, timed};
use crate::ops::tile::with_view;

/// The gradient of the input of `stretch`, if it is asked for, from that of its output `y`; those of the parameters go into
/// `gradients`.
pub(super) fn backward(stretch: Stretch, y: &Tensor, dy: &Tensor, gradients: &Gradients) -> Result<Option<Vec<f32>>> {
    let mut known: Vec<Option<Vec<f32>>> = stretch.values.iter().map(|_| None).collect();
    if let Some(last) = known.last_mut() {
        *last = Some(with_view(dy, buffers::copy)?);
    }
    let mut pass = Pass { stretch, known, gradients };
    // Step i made value i + 1.
    while let Some(step) = pass.stretch.steps.pop() {
        let made = Value(pass.stretch.steps.len() + 1);
        if let Some(dy) = pass.known[made.0].take() {
            match step {
                Step::Convolution(step) => pass.convolution(&step, dy)?,
                Step::Normalisation(step) => pass.normalisation(&step, (made, y), dy)?,
                Step::MaxPool(step) => pass.max_pool(&step, (made, y), dy)?,
            }
        }
        if let Data::Kept(data) = std::mem::replace(&mut pass.stretch.values[made.0].data, Data::Output) {
            buffers::give(data);
        }
    }
    Ok(pass.known.swap_remove(0))
}

struct Pass<'a> {
    stretch: Stretch,
    /// What is known of each value's gradient.
    known: Vec<Option<Vec<f32>>>,
    gradients: &'a Gradients,
}

impl Pass<'_> {
    fn convolution(&mut self, step: &Convolution, dy: Vec<f32>) -> Result<()> {
        let &Convolution { x, kernel, ref geometry, residual } = step;
        let w = self.stretch.parameters[kernel].clone();
        if w.track_op() {
            let mut dw = vec![0.0; w.elem_count()];
            let mut run = |x: &[f32]| conv::grad_kernel(geometry, x, &dy, &mut dw);
            self.stretch.with(x, |x| timed(Kind::Convolution, geometry.operations(), || run(x)))?;
            self.gradients.put(kernel, Tensor::from_vec(dw, w.shape(), w.device())?);
        }
        if self.wanted(x) {
            let mut dx = buffers::take(self.len(x));
            let onto = self.known[x.0].take();
            let mut run = |w: &[f32]| conv::grad_input(geometry, w, &dy, onto.as_deref(), &mut dx);
            with_view(&w, |w| timed(Kind::Convolution, geometry.operations(), || run(w)))?;
            self.known[x.0] = Some(dx);
            onto.into_iter().for_each(buffers::give);
        }
        match residual {
            Some(residual) if self.wanted(residual) => buffers::add(&mut self.known[residual.0], dy),
            _ => buffers::give(dy),
        }
        Ok(())
    }

    fn normalisation(
        &mut self,
        step: &Normalisation,
        (made, output): (Value, &Tensor),
        mut dy: Vec<f32>,
    ) -> Result<()> {
        let &Normalisation { x, weight, bias, ref moments, eps, residual, relu } = step;
        let (w, b) = (&self.stretch.parameters[weight], &self.stretch.parameters[bias]);
        let affine = batch_norm::affine(w, b)?;
        let residual = residual.filter(|&residual| self.wanted(residual));
        let mut dresidual = residual.map(|residual| buffers::take(self.len(residual)));
        let onto = self.known[x.0].take();
        let shape = self.stretch.values[x.0].shape;
        let mut run = |x: &[f32], y: &[f32]| {
            let given = Given { x, dy: None, y: relu.then_some(y), fixed: false, onto: onto.as_deref() };
            let dresidual = dresidual.as_deref_mut().unwrap_or_default();
            // The gradient of the output becomes that of the input where it lies.
            batch_norm::backward(&shape, given, (&affine, moments, eps), &mut dy, dresidual)
        };
        let daffine =
            self.with_made(made, output, |y| self.stretch.with(x, |x| timed(Kind::Normalisation, 0.0, || run(x, y))))??;
        let (dw, db) = daffine.split_at(w.elem_count());
        self.gradients.put(weight, Tensor::new(dw, w.device())?);
        self.gradients.put(bias, Tensor::new(db, b.device())?);
        onto.into_iter().for_each(buffers::give);
        if self.wanted(x) {
            self.known[x.0] = Some(dy);
        } else {
            buffers::give(dy);
        }
        if let (Some(residual), Some(gradient)) = (residual, dresidual) {
            buffers::add(&mut self.known[residual.0], gradient);
        }
        Ok(())
    }

    fn max_pool(&mut self, step: &MaxPool, (made, output): (Value, &Tensor), dy: Vec<f32>) -> Result<()> {
        let &MaxPool { x, ref window } = step;
        if self.wanted(x) {
            let mut dx = buffers::take(self.len(x));
            let mut run = |x: &[f32], y: &[f32]| pool::max_backward(window, x, y, &dy, &mut dx);
            self.with_made(made, output, |y| self.stretch.with(x, |x| run(x, y)))??;
            buffers::add(&mut self.known[x.0], dx);
        }
        buffers::give(dy);
        Ok(())
    }

    fn len(&self, value: Value) -> usize {
        self.stretch.values[value.0].shape.iter().product()
    }

    /// Whether a gradient of this value is of use.
    fn wanted(&self, value: Value) -> bool {
        value.0 > 0 || self.stretch.input.track_op()
    }

    /// Calls `f` with the elements of a value that may be the output.
    fn with_made<R>(&self, made: Value, output: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        match &self.stretch.values[made.0].data {
            Data::Output => with_view(output, f),
            _ => self.stretch.with(made, f),
        }
    }
}
