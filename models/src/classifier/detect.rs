//! Which network a checkpoint is of, from the names and shapes of its tensors.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::{build, names, usual_size};
use crate::{Error, Params, Result};

/// A network and its sizes, as a checkpoint tells them.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    pub network: &'static str,
    pub classes: usize,
    pub channels: usize,
    /// Side of the images in pixels. Most networks take several; then that of the reference.
    pub size: usize,
}

/// The weights of the last layer, `[classes, features]`: the first of these that is there.
const HEADS: &[&str] = &[
    "heads.head.weight",
    "classifier.6.weight",
    "classifier.2.weight",
    "classifier.1.weight",
    "classifier.weight",
    "linear.weight",
    "fc.weight",
    "fc2.weight",
];

/// The weights of the first layer, `[outputs, channels, k, k]`.
const STEMS: &[&str] = &[
    "conv_proj.weight",
    "conv1.weight",
    "conv1.0.weight",
    "features.0.weight",
    "features.0.0.weight",
    "block0.0.weight",
];

/// Finds the one network whose tensors are exactly these. Fails where none is, or more than one.
pub fn detect(tensors: &BTreeMap<String, Tensor>) -> Result<Detected> {
    // PyTorch counts batches in a tensor that only its own momentum of `None` would use.
    let counted = |name: &str| name.ends_with("num_batches_tracked");
    let shapes: BTreeMap<String, Vec<usize>> =
        tensors.iter().filter(|(name, _)| !counted(name)).map(|(name, t)| (name.clone(), t.dims().to_vec())).collect();
    let dims = |names: &[&str]| names.iter().find_map(|&name| shapes.get(name)).map(Vec::as_slice);
    let (Some(&[classes, _]), Some(&[_, channels, _, _])) = (dims(HEADS), dims(STEMS)) else {
        return Err(unknown("it has no first convolution and last linear layer of a known name"));
    };
    let positions = shapes.get("encoder.pos_embedding").and_then(|shape| shape.get(1)).map(|tokens| side_of(*tokens));
    let fits = |name: &'static str| {
        let sizes = [positions, usual_size(name), Some(32), Some(224)];
        let size = sizes.into_iter().flatten().find(|&size| {
            let params = Params::sketch();
            build(name, classes, channels, size, &params).is_ok() && params.asked() == shapes
        })?;
        Some(Detected { network: name, classes, channels, size })
    };
    let mut found: Vec<Detected> = names().filter_map(fits).collect();
    match (found.pop(), found.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Err(unknown("no known network has exactly its tensors")),
        (Some(last), others) => {
            let all: Vec<_> = others.iter().chain([&last]).map(|found| format!("`{}`", found.network)).collect();
            Err(unknown(&format!("{} all have these tensors", all.join(", "))))
        }
    }
}

fn unknown(reason: &str) -> Error {
    Error::Config(format!(
        "the names of its tensors don't tell the network ({reason}): if docs/networks.md has it name it, `network = \"resnet18\"`; \
         any other can be a teacher as an ONNX file"
    ))
}

/// The side of images of so many patches of 16 px, and a class token.
fn side_of(tokens: usize) -> usize {
    tokens.saturating_sub(1).isqrt() * 16
}
