//! Inputs of no particular meaning for each operation, and the answers to them row by row.

use candle_core::{Device, Tensor};
use limbeck_backend::{Description, Manifest, abi};
use rand::Rng as _;

use crate::backend::instance::Instance;
use crate::seed::{Purpose, rng};
use crate::{Error, Result};

/// How many different rows there are to ask about.
pub(super) const ROWS: usize = 8;
/// Elements around each output that a plugin must leave alone.
const MARGIN: usize = 64;

/// One operation with something to ask.
pub(super) struct Probe {
    name: &'static str,
    op: u32,
    /// Each with [`ROWS`] rows.
    inputs: Vec<Tensor>,
    /// Name and the shape of one row.
    outputs: Vec<(&'static str, Vec<usize>)>,
}

impl Probe {
    /// One for each operation that the manifest lists.
    pub(super) fn all(manifest: &Manifest, description: &Description, device: &Device) -> Result<Vec<Self>> {
        let size = description.input;
        let shape = vec![size.channels, size.height, size.width];
        let images = || pixels(&shape, device);
        let classes = description.classes;
        let mut probes = Vec::new();
        for operation in &manifest.operations {
            probes.push(match operation.as_str() {
                "classify" => {
                    let features = description.features.map(|width| ("features", vec![width]));
                    let outputs = std::iter::once(("logits", vec![classes])).chain(features).collect();
                    Self { name: "classify", op: abi::OP_CLASSIFY, inputs: vec![images()?], outputs }
                }
                "denoise" => {
                    let steps: Vec<f32> = (0..ROWS).map(|row| (row * 100 + 7) as f32).collect();
                    let labels: Vec<i64> = (0..ROWS).map(|row| (row % classes) as i64).collect();
                    let (steps, labels) = (Tensor::new(steps, device)?, Tensor::new(labels, device)?);
                    let variance = description.variance.then(|| ("variance", shape.clone()));
                    let outputs = std::iter::once(("epsilon", shape.clone())).chain(variance).collect();
                    let inputs = vec![images()?.affine(4.0, -2.0)?, steps, labels];
                    Self { name: "denoise", op: abi::OP_DENOISE, inputs, outputs }
                }
                "vjp" => {
                    let direction = pixels(&[classes], device)?.affine(2.0, -1.0)?;
                    let outputs = vec![("d_images", shape.clone())];
                    Self { name: "vjp", op: abi::OP_VJP, inputs: vec![images()?, direction], outputs }
                }
                other => {
                    return Err(Error::input(format!(
                        "plugin `{}` lists an operation `{other}`, which ABI 1.0 does not have: it has classify, denoise \
                         and vjp",
                        manifest.name
                    )));
                }
            });
        }
        Ok(probes)
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn op(&self) -> u32 {
        self.op
    }

    pub(super) fn output_names(&self) -> String {
        let shown: Vec<_> = self.outputs.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
        shown.join(" and ")
    }

    /// The inputs of these rows, in this order; a row may be there more than once.
    pub(super) fn inputs(&self, rows: &[usize]) -> Result<Vec<Tensor>> {
        let rows: Vec<u32> = rows.iter().map(|&row| (row % ROWS) as u32).collect();
        let taken = self.inputs.iter().map(|input| {
            let rows = Tensor::new(rows.as_slice(), input.device())?;
            Ok(input.index_select(&rows, 0)?.contiguous()?)
        });
        taken.collect()
    }

    /// What the instance says about these inputs.
    pub(super) fn ask(&self, instance: &Instance, inputs: &[Tensor]) -> Result<Answers> {
        let shapes = self.shapes(inputs)?;
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        Answers::new(instance.run(self.op, &inputs, &shapes)?)
    }

    /// As [`Self::ask`], and whether memory beside the outputs stayed as it was.
    pub(super) fn ask_watched(&self, instance: &Instance, inputs: &[Tensor]) -> Result<(Answers, bool)> {
        let shapes = self.shapes(inputs)?;
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let (outputs, intact) = instance.run_watched(self.op, &inputs, &shapes, MARGIN)?;
        Ok((Answers::new(outputs)?, intact))
    }

    /// [`Self::ask`] about rows by their number.
    pub(super) fn ask_rows(&self, instance: &Instance, rows: &[usize]) -> Result<Answers> {
        self.ask(instance, &self.inputs(rows)?)
    }

    pub(super) fn shapes(&self, inputs: &[Tensor]) -> Result<Vec<Vec<usize>>> {
        let rows = inputs.first().map_or(Ok(0), |input| input.dim(0))?;
        Ok(self.outputs.iter().map(|(_, shape)| [&[rows], shape.as_slice()].concat()).collect())
    }
}

/// [`ROWS`] rows of this shape with values 0 to 1: patches of eight by eight with a little noise, each row of its own
/// brightness.
fn pixels(shape: &[usize], device: &Device) -> Result<Tensor> {
    let each: usize = shape.iter().product();
    let width = shape.last().copied().unwrap_or(1);
    let mut values = Vec::with_capacity(ROWS * each);
    for row in 0..ROWS {
        let mut random = rng(0, Purpose::Subset, row as u64);
        let brightness = random.random_range(0.1..0.6f32);
        let patches: Vec<f32> = (0..64).map(|_| random.random_range(0.0..0.3)).collect();
        values.extend((0..each).map(|at| {
            let (x, y) = (at % width / 8 % 8, at / width / 8 % 8);
            brightness + patches[y * 8 + x] + random.random_range(0.0..0.1f32)
        }));
    }
    Ok(Tensor::from_vec(values, [&[ROWS], shape].concat(), device)?)
}

/// The outputs of a call, row by row.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    /// Values and how many there are in a row.
    outputs: Vec<(Vec<f32>, usize)>,
}

impl Answers {
    pub(super) fn new(outputs: Vec<Tensor>) -> Result<Self> {
        let read = outputs.into_iter().map(|output| {
            let rows = output.dim(0)?.max(1);
            let values = output.flatten_all()?.to_vec1::<f32>()?;
            let width = values.len() / rows;
            Ok((values, width))
        });
        Ok(Self { outputs: read.collect::<Result<_>>()? })
    }

    /// Every output's values of one row.
    pub(super) fn row(&self, row: usize) -> Self {
        let taken = self.outputs.iter().map(|(values, width)| (values[row * width..][..*width].to_vec(), *width));
        Self { outputs: taken.collect() }
    }

    pub(super) fn finite(&self) -> bool {
        self.outputs.iter().all(|(values, _)| values.iter().all(|value| value.is_finite()))
    }

    pub(super) fn same_bits(&self, other: &Self) -> bool {
        let bits = |answers: &Self| -> Vec<u32> {
            answers.outputs.iter().flat_map(|(values, _)| values.iter().map(|value| value.to_bits())).collect()
        };
        bits(self) == bits(other)
    }

    /// The largest difference over all outputs, each relative to its largest value in `self`. Infinite where only one of
    /// the two is finite.
    pub(super) fn difference(&self, other: &Self) -> f32 {
        let each = self.outputs.iter().zip(&other.outputs).map(|((ours, _), (theirs, _))| {
            let largest = ours.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
            let apart = |(a, b): (&f32, &f32)| {
                if a.to_bits() == b.to_bits() {
                    0.0
                } else if (a - b).is_finite() {
                    (a - b).abs() / largest
                } else {
                    f32::INFINITY
                }
            };
            ours.iter().zip(theirs).map(apart).fold(0.0, f32::max)
        });
        each.fold(0.0, f32::max)
    }

    /// `<a, b>` over all values of all outputs.
    pub(super) fn dot(&self, other: &[f32]) -> f64 {
        let values = self.outputs.iter().flat_map(|(values, _)| values);
        values.zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    /// The values of one output, row after row.
    pub(super) fn values(&self, output: usize) -> &[f32] {
        self.outputs.get(output).map_or(&[], |(values, _)| values)
    }
}
