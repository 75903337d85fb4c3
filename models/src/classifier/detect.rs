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
    let found = Shapes::of(tensors);
    let (classes, channels) =
        found.ends().ok_or_else(|| unknown("it has no first convolution and last linear layer of a known name"))?;
    let fits = |name: &'static str| {
        let exactly = |asked: &BTreeMap<_, _>| *asked == found.0;
        let size =
            found.sizes(name).find(|&size| asked(name, classes, channels, size).is_some_and(|all| exactly(&all)))?;
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

/// The sizes of a network whose name is known, from tensors of which some may be missing or another's. `None` where there is
/// no network `name`, or no first convolution and last linear layer of a known name.
pub fn detect_sizes(name: &str, tensors: &BTreeMap<String, Tensor>) -> Option<Detected> {
    let network = names().find(|known| *known == name)?;
    let found = Shapes::of(tensors);
    let (classes, channels) = found.ends()?;
    let there = |size: &usize| {
        let asked = asked(network, classes, channels, *size);
        asked.is_some_and(|all| all.iter().all(|(name, shape)| found.0.get(name) == Some(shape)))
    };
    // Where none fits, building the network says what is missing, at any size.
    let size = found.sizes(network).find(there).or(found.sizes(network).next())?;
    Some(Detected { network, classes, channels, size })
}

/// Names and shapes of what a network asks for; `None` where it can't be of this size.
fn asked(name: &str, classes: usize, channels: usize, size: usize) -> Option<BTreeMap<String, Vec<usize>>> {
    let params = Params::sketch();
    build(name, classes, channels, size, &params).ok().map(|_| params.asked())
}

/// The shapes of tensors by name.
struct Shapes(BTreeMap<String, Vec<usize>>);

impl Shapes {
    fn of(tensors: &BTreeMap<String, Tensor>) -> Self {
        // PyTorch counts batches in a tensor that only its own momentum of `None` would use.
        let counted = |name: &str| name.ends_with("num_batches_tracked");
        let tensors = tensors.iter().filter(|(name, _)| !counted(name));
        Self(tensors.map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect())
    }

    /// Classes and channels.
    fn ends(&self) -> Option<(usize, usize)> {
        let dims = |names: &[&str]| names.iter().find_map(|&name| self.0.get(name)).map(Vec::as_slice);
        match (dims(HEADS), dims(STEMS)) {
            (Some(&[classes, _]), Some(&[_, channels, _, _])) => Some((classes, channels)),
            _ => None,
        }
    }

    /// Sides in pixels that a network may have been built for.
    fn sizes(&self, name: &str) -> impl Iterator<Item = usize> {
        let positions =
            self.0.get("encoder.pos_embedding").and_then(|shape| shape.get(1)).map(|tokens| side_of(*tokens));
        [positions, usual_size(name), Some(32), Some(224)].into_iter().flatten()
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
