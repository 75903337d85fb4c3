//! Safetensors files with the configuration of their network in the metadata. Reading one never runs code.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::{Error, Result, finite};

/// Tensors by name, and the file's free-form metadata.
pub struct Checkpoint {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
}

/// Reads a safetensors file onto the CPU. Fails with the path on anything that is not one, and on NaN and infinities in it.
pub fn load(path: &Path) -> Result<Checkpoint> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: shown.clone(), source })?;
    parse(&bytes, &shown)
}

/// Parses the bytes of a safetensors file; `shown` names it in errors.
pub fn parse(bytes: &[u8], shown: &str) -> Result<Checkpoint> {
    let bad = |reason: String| Error::BadCheckpoint { path: shown.into(), reason };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| bad(error.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| bad(error.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            Dtype::I64 => DType::I64,
            Dtype::U32 => DType::U32,
            Dtype::U8 => DType::U8,
            other => return Err(bad(format!("tensor `{name}` has type {other:?}, which no network here uses"))),
        };
        elements(view.shape())
            .ok_or_else(|| bad(format!("tensor `{name}` has shape {:?}: too large", view.shape())))?;
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
        tensors.insert(name.to_owned(), tensor);
    }
    refuse_not_finite(&tensors, shown)?;
    Ok(Checkpoint { tensors, metadata })
}

/// Fails where a tensor of the file `shown` holds NaN or an infinity, with the tensor's name.
pub(crate) fn refuse_not_finite(tensors: &BTreeMap<String, Tensor>, shown: &str) -> Result<()> {
    match finite::first_in(tensors)? {
        None => Ok(()),
        Some((tensor, value)) => Err(Error::NotFinite { path: shown.into(), tensor: tensor.into(), value }),
    }
}

/// The elements of a tensor. `None` where the sizes are beyond counting, even those beside a 0: strides are their products.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)))?;
    Some(shape.iter().product())
}

/// The bytes of a safetensors file, tensors in the order of type and name. The same tensors and metadata give the same bytes.
pub fn to_bytes(tensors: &BTreeMap<String, Tensor>, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut raw = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        raw.push((name, dtype_of(tensor)?, tensor.dims().to_vec(), raw_bytes(tensor)?));
    }
    let views = raw.iter().map(|(name, dtype, shape, data)| {
        TensorView::new(*dtype, shape.clone(), data).map(|view| (name.as_str(), view)).map_err(codec_error)
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    // A HashMap of more than one entry has no stable order; one JSON string under one key does.
    let packed = serde_json::to_string(metadata).map_err(|error| Error::Config(error.to_string()))?;
    let header = HashMap::from([(METADATA_KEY.to_owned(), packed)]);
    safetensors::serialize(views, Some(header)).map_err(codec_error)
}

/// The one metadata key that Limbeck writes: a JSON object of strings.
pub const METADATA_KEY: &str = "limbeck";

impl Checkpoint {
    /// An entry that [`to_bytes`] wrote, such as `network` or `config`.
    pub fn entry(&self, key: &str) -> Option<String> {
        let packed = self.metadata.get(METADATA_KEY)?;
        serde_json::from_str::<BTreeMap<String, String>>(packed).ok()?.remove(key)
    }
}

/// The tensors whose names start with `prefix`, without it.
pub fn under(tensors: &BTreeMap<String, Tensor>, prefix: &str) -> BTreeMap<String, Tensor> {
    let strip = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()));
    tensors.iter().filter_map(strip).collect()
}

fn codec_error(error: safetensors::SafeTensorError) -> Error {
    Error::Config(format!("can't write a safetensors file: {error}"))
}

fn dtype_of(tensor: &Tensor) -> Result<Dtype> {
    Ok(match tensor.dtype() {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::F64 => Dtype::F64,
        DType::I64 => Dtype::I64,
        DType::U32 => Dtype::U32,
        DType::U8 => Dtype::U8,
        other => return Err(Error::Config(format!("can't write tensors of type {other:?}"))),
    })
}

fn raw_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F32 => flat.to_vec1::<f32>()?.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::F64 => flat.to_vec1::<f64>()?.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::F16 => flat.to_vec1::<half::f16>()?.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::BF16 => flat.to_vec1::<half::bf16>()?.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::I64 => flat.to_vec1::<i64>()?.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::U32 => flat.to_vec1::<u32>()?.iter().flat_map(|v| v.to_le_bytes()).collect(),
        _ => flat.to_vec1::<u8>()?,
    })
}
