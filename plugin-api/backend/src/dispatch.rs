//! From an operation's number and lent tensors to a call of the trait that has it.

use crate::abi::{self, MAX_DIMS};
use crate::dlpack::{DLDataType, DLTensor};
use crate::{Backend, Condition, Description, Error, Exec, Input, InputSize, Noisy, Output, Result};

/// An operation with its inputs, their number and types checked.
pub(crate) enum Operation<'a> {
    Classify { images: Input<'a>, features: bool },
    Denoise { noisy: Noisy<'a>, variance: bool },
    Vjp { images: Input<'a>, d_logits: Input<'a> },
}

impl<'a> Operation<'a> {
    /// # Safety
    /// The inputs keep the promises of the header throughout `'a`; their data only if `with_data`.
    pub(crate) unsafe fn parse(op: u32, inputs: &'a [DLTensor], n_outputs: usize, with_data: bool) -> Result<Self> {
        // SAFETY: the same promise.
        let input = |index: usize, what: &str| unsafe { Input::from_raw(&inputs[index], what, with_data) };
        if !(1..=2).contains(&n_outputs) {
            return Err(Error::unsupported(format!("operation {op} has 1 or 2 outputs, the host wants {n_outputs}")));
        }
        match (op, inputs.len()) {
            (abi::OP_CLASSIFY, 1) => {
                let images = of_type(input(0, "images")?, DLDataType::F32, "images")?;
                Ok(Self::Classify { images, features: n_outputs == 2 })
            }
            (abi::OP_DENOISE, 3) => {
                let x = of_type(input(0, "x_t")?, DLDataType::F32, "x_t")?;
                let t = of_type(input(1, "t")?, DLDataType::F32, "t")?;
                let condition = input(2, "condition")?;
                let condition = match condition.dtype() {
                    DLDataType::I64 => Condition::Classes(condition),
                    DLDataType::F32 => Condition::Embedding(condition),
                    other => return Err(Error::invalid(format!("condition: type {} is not i64 or f32", other.name()))),
                };
                Ok(Self::Denoise { noisy: Noisy { x, t, condition }, variance: n_outputs == 2 })
            }
            (abi::OP_VJP, 2) if n_outputs == 1 => {
                let images = of_type(input(0, "images")?, DLDataType::F32, "images")?;
                let d_logits = of_type(input(1, "d_logits")?, DLDataType::F32, "d_logits")?;
                Ok(Self::Vjp { images, d_logits })
            }
            (abi::OP_VJP, 2) => {
                Err(Error::unsupported(format!("operation {op} has 1 output, the host wants {n_outputs}")))
            }
            (abi::OP_CLASSIFY | abi::OP_DENOISE | abi::OP_VJP, count) => {
                Err(Error::invalid(format!("{count} inputs for operation {op}")))
            }
            _ => Err(Error::unsupported(format!("operation {op} is not one that this backend has"))),
        }
    }

    /// The outputs' shapes, in order; the host may want fewer.
    pub(crate) fn output_shapes(&self, description: &Description) -> Result<Vec<abi::Shape>> {
        match self {
            Self::Classify { images, features } => {
                let rows = rows(images, &description.input, "images")?;
                let mut shapes = vec![f32_shape(&[rows, description.classes])];
                if *features {
                    let width = description.features.ok_or_else(|| Error::unsupported("it gives no features"))?;
                    shapes.push(f32_shape(&[rows, width]));
                }
                Ok(shapes)
            }
            Self::Denoise { noisy, variance } => {
                let rows = rows(&noisy.x, &description.input, "x_t")?;
                let shape_of = |condition: &Condition<'_>| match condition {
                    Condition::Classes(classes) => (classes.shape().len() == 1, classes.shape().to_vec()),
                    Condition::Embedding(rows) => (rows.shape().len() == 2, rows.shape().to_vec()),
                };
                let (right_rank, condition) = shape_of(&noisy.condition);
                if noisy.t.shape() != [rows] || !right_rank || condition[0] != rows {
                    let t = noisy.t.shape();
                    return Err(Error::invalid(format!("x_t has {rows} rows, t {t:?}, condition {condition:?}")));
                }
                if *variance && !description.variance {
                    return Err(Error::unsupported("it gives no variance"));
                }
                Ok(vec![f32_shape(noisy.x.shape()); 1 + usize::from(*variance)])
            }
            Self::Vjp { images, d_logits } => {
                let rows = rows(images, &description.input, "images")?;
                if d_logits.shape() != [rows, description.classes] {
                    return Err(Error::invalid(format!(
                        "d_logits have shape {:?}, for {rows} images they must have [{rows}, {}]",
                        d_logits.shape(),
                        description.classes
                    )));
                }
                Ok(vec![f32_shape(images.shape())])
            }
        }
    }

    /// # Safety
    /// The outputs keep the promises of the header, and nothing else touches their data during the call.
    pub(crate) unsafe fn run<B: Backend>(
        &self,
        backend: &B,
        description: &Description,
        exec: &Exec,
        outputs: &[DLTensor],
    ) -> Result<()> {
        let shapes = self.output_shapes(description)?;
        let mut lent = Vec::with_capacity(outputs.len());
        for (tensor, shape) in outputs.iter().zip(&shapes) {
            // SAFETY: the same promise.
            let output = unsafe { Output::from_raw(tensor, "an output") }?;
            let wanted: Vec<usize> = shape.dims[..shape.ndim as usize].iter().map(|&dim| dim as usize).collect();
            if output.shape() != wanted || tensor.dtype != shape.dtype || tensor.device != exec.device {
                let (shape, place) = (output.shape(), tensor.device.name());
                return Err(Error::invalid(format!("an output has shape {shape:?} on {place}, not {wanted:?}")));
            }
            lent.push(output);
        }
        let (first, second) = lent.split_at_mut(1);
        match self {
            Self::Classify { images, .. } => {
                let classifier = backend.classifier().ok_or_else(|| Error::unsupported("it is not a classifier"))?;
                classifier.classify(exec, images, &mut first[0], second.first_mut())
            }
            Self::Denoise { noisy, .. } => {
                let denoiser = backend.denoiser().ok_or_else(|| Error::unsupported("it is not a denoiser"))?;
                denoiser.denoise(exec, noisy, &mut first[0], second.first_mut())
            }
            Self::Vjp { images, d_logits } => {
                let traced =
                    backend.differentiable().ok_or_else(|| Error::unsupported("it gives no image gradients"))?;
                traced.vjp(exec, images, d_logits, &mut first[0])
            }
        }
    }
}

fn of_type<'a>(input: Input<'a>, dtype: DLDataType, what: &str) -> Result<Input<'a>> {
    if input.dtype() == dtype {
        return Ok(input);
    }
    Err(Error::invalid(format!("{what}: expected type {}, got {}", dtype.name(), input.dtype().name())))
}

/// The number of rows of `images`, whose other dimensions must be `size`.
fn rows(images: &Input<'_>, size: &InputSize, what: &str) -> Result<usize> {
    match *images.shape() {
        [rows, channels, height, width] if (InputSize { channels, height, width }) == *size && rows > 0 => Ok(rows),
        _ => Err(Error::unsupported(format!(
            "{what} have shape {:?}, the network needs [n, {}, {}, {}]",
            images.shape(),
            size.channels,
            size.height,
            size.width
        ))),
    }
}

fn f32_shape(dims: &[usize]) -> abi::Shape {
    let mut shape = abi::Shape { ndim: dims.len() as i32, dtype: DLDataType::F32, dims: [0; MAX_DIMS] };
    for (to, &from) in shape.dims.iter_mut().zip(dims) {
        *to = from as i64;
    }
    shape
}
