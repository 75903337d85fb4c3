//! How any number of parameters take part in an operation of two arguments: by a chain of tiny tensors, each of which
//! depends on one more of them and hands it its gradient when candle comes by.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Device, Error, Layout, Result, Shape, Tensor};

/// The parameters' gradients, between the operation that makes them and candle.
pub(super) struct Gradients(Mutex<Vec<Option<Tensor>>>);

impl Gradients {
    pub fn new(count: usize) -> Self {
        Self(Mutex::new(vec![None; count]))
    }

    pub fn put(&self, index: usize, gradient: Tensor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(gradient);
    }

    fn take(&self, index: usize) -> Option<Tensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[index].take()
    }
}

/// One number that depends on all `parameters`, or on nothing if there are none.
pub(super) fn handle(parameters: &[Tensor], gradients: &Arc<Gradients>) -> Result<Tensor> {
    let chain = parameters.iter().enumerate().try_fold(None, |before: Option<Tensor>, (index, parameter)| {
        let link = Link { index, gradients: gradients.clone() };
        Ok::<_, Error>(Some(match before {
            None => parameter.apply_op1(link)?,
            Some(before) => before.apply_op2(parameter, link)?,
        }))
    })?;
    chain.map_or_else(|| Tensor::zeros(1, DType::F32, &Device::Cpu), Ok)
}

struct Link {
    index: usize,
    gradients: Arc<Gradients>,
}

impl Link {
    fn number() -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(1)))
    }
}

impl CustomOp1 for Link {
    fn name(&self) -> &'static str {
        "parameter"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Self::number()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.gradients.take(self.index))
    }
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "parameter"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Self::number()
    }

    fn bwd(&self, before: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(before.zeros_like()?), self.gradients.take(self.index)))
    }
}
