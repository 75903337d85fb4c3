//! Named parameters: created from a seed for training, or taken from a checkpoint for inference.
//!
//! A network asks for every tensor by its path and shape, in one place. The same constructor therefore builds a fresh
//! student, resumes one and loads a teacher, and a checkpoint with a wrong shape is refused by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Shape, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// How a fresh parameter is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every element is this value.
    Const(f32),
    /// Uniform in `[-bound, bound]`.
    Uniform(f32),
    /// Normal with mean zero and this standard deviation.
    Normal(f32),
}

#[derive(Clone)]
enum Source {
    /// Draw from the seed; one ChaCha8 stream a name, so adding a layer changes no other.
    Seed(u64),
    /// Take from these tensors.
    Loaded(Arc<BTreeMap<String, Tensor>>),
    /// Zeros that take no memory.
    Sketch,
}

/// What a network has asked for, by full name.
#[derive(Default)]
struct Registry {
    parameters: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Var>,
    /// Every name with its shape, also of frozen parameters.
    asked: BTreeMap<String, Vec<usize>>,
}

/// A place in the tree of names from which a network takes its tensors.
#[derive(Clone)]
pub struct Params {
    source: Source,
    registry: Arc<Mutex<Registry>>,
    prefix: String,
    dtype: DType,
    device: Device,
    trainable: bool,
}

impl Params {
    /// Fresh, trainable f32 parameters drawn from `seed`.
    pub fn from_seed(seed: u64, device: &Device) -> Self {
        Self::new(Source::Seed(seed), DType::F32, device, true)
    }

    /// Trainable parameters continued from `tensors`; every name asked for must be there with the asked shape.
    pub fn resume(tensors: BTreeMap<String, Tensor>, device: &Device) -> Self {
        Self::new(Source::Loaded(Arc::new(tensors)), DType::F32, device, true)
    }

    /// Frozen parameters for inference, converted to `dtype`. No gradient graph is kept through them.
    pub fn frozen(tensors: BTreeMap<String, Tensor>, dtype: DType, device: &Device) -> Self {
        Self::new(Source::Loaded(Arc::new(tensors)), dtype, device, false)
    }

    /// No values, only names and shapes: building a network on these says what its checkpoint must hold ([`Self::asked`]).
    pub fn sketch() -> Self {
        Self::new(Source::Sketch, DType::F32, &Device::Cpu, false)
    }

    fn new(source: Source, dtype: DType, device: &Device, trainable: bool) -> Self {
        Self { source, registry: Arc::default(), prefix: String::new(), dtype, device: device.clone(), trainable }
    }

    /// The subtree `name` of this place: `params.at("blocks").at(0).at("attn")`.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: self.full_name(name), ..self.clone() }
    }

    /// The same place, but what is asked for from here on is drawn from `seed`, whatever the source was.
    pub fn fresh(&self, seed: u64) -> Self {
        Self { source: Source::Seed(seed), ..self.clone() }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// A parameter that the optimiser trains (a plain tensor when these parameters are frozen).
    pub fn param(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        let full = self.full_name(name);
        let tensor = self.tensor(&full, shape.into(), init)?;
        if !self.trainable {
            // The source may be the state of parameters in training, which would keep all that is computed with them.
            return Ok(tensor.detach());
        }
        let var = Var::from_tensor(&tensor)?;
        let shared = var.as_tensor().clone();
        self.registry().parameters.insert(full, var);
        Ok(shared)
    }

    /// A tensor that is stored in checkpoints and updated by the network itself (running statistics).
    pub fn buffer(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Var> {
        let full = self.full_name(name);
        let tensor = self.tensor(&full, shape.into(), init)?;
        let var = Var::from_tensor(&tensor)?;
        self.registry().buffers.insert(full, var.clone());
        Ok(var)
    }

    /// Whether the source has a tensor of this name below this place (always true for fresh parameters).
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Seed(_) | Source::Sketch => true,
            Source::Loaded(map) => map.contains_key(&self.full_name(name)),
        }
    }

    /// The shape that the source has under this name below this place; `None` where it has none, or draws what is asked for.
    pub fn given(&self, name: &str) -> Option<&[usize]> {
        match &self.source {
            Source::Seed(_) | Source::Sketch => None,
            Source::Loaded(map) => map.get(&self.full_name(name)).map(Tensor::dims),
        }
    }

    /// Every trainable parameter, by full name, in name order.
    pub fn parameters(&self) -> BTreeMap<String, Var> {
        self.registry().parameters.clone()
    }

    /// Every buffer, by full name, in name order.
    pub fn buffers(&self) -> BTreeMap<String, Var> {
        self.registry().buffers.clone()
    }

    /// Every parameter and buffer, by full name: what a checkpoint holds.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let registry = self.registry();
        let all = registry.parameters.iter().chain(&registry.buffers);
        all.map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect()
    }

    /// The shape of every tensor that was asked for, by full name.
    pub fn asked(&self) -> BTreeMap<String, Vec<usize>> {
        self.registry().asked.clone()
    }

    /// The names in the source that nothing asked for: a sign that the checkpoint is of another network.
    pub fn unused(&self) -> Vec<String> {
        let Source::Loaded(map) = &self.source else { return Vec::new() };
        let registry = self.registry();
        map.keys().filter(|name| !registry.asked.contains_key(*name)).cloned().collect()
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn full_name(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    fn tensor(&self, full: &str, shape: Shape, init: Init) -> Result<Tensor> {
        self.registry().asked.insert(full.to_owned(), shape.dims().to_vec());
        match &self.source {
            Source::Sketch => Ok(Tensor::zeros((), self.dtype, &self.device)?.broadcast_as(shape)?),
            Source::Seed(seed) => Ok(draw(*seed, full, &shape, init, &self.device)?.to_dtype(self.dtype)?),
            Source::Loaded(map) => {
                let found = map.get(full).ok_or_else(|| Error::MissingTensor { name: full.into() })?;
                if found.shape() != &shape {
                    return Err(Error::WrongShape {
                        name: full.into(),
                        expected: shape.into_dims(),
                        found: found.dims().to_vec(),
                    });
                }
                Ok(found.to_device(&self.device)?.to_dtype(self.dtype)?.contiguous()?)
            }
        }
    }
}

/// The ChaCha8 stream number of a name: FNV-1a, 64 bits.
fn stream_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn draw(seed: u64, name: &str, shape: &Shape, init: Init, device: &Device) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream_of(name));
    let values: Vec<f32> = match init {
        Init::Const(value) => vec![value; shape.elem_count()],
        Init::Uniform(bound) => (0..shape.elem_count()).map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound).collect(),
        Init::Normal(std) => {
            let normal = rand_distr::StandardNormal;
            (0..shape.elem_count()).map(|_| rng.sample::<f32, _>(normal) * std).collect()
        }
    };
    Ok(Tensor::from_vec(values, shape.clone(), device)?)
}
