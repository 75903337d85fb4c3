//! Weights from any file that a teacher comes in: safetensors, or PyTorch's `.pth` in either format.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

use crate::checkpoint::{self, Checkpoint};
use crate::{Error, Result, torch};

/// What wrappers of a whole network (`DataParallel`, `torch.compile`, Lightning) put before every name.
const PREFIXES: &[&str] = &["module.", "_orig_mod.", "model.", "network.", "net."];

/// Reads a file of weights onto the CPU; its first bytes say what it is, not its name. Fails with the path on anything
/// else. Prefixes that every name has (`module.` and the like) are taken off, and names that torchvision has changed
/// since are given as they are now.
pub fn load(path: &Path) -> Result<Checkpoint> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: shown.clone(), source })?;
    parse(&bytes, &shown)
}

/// The same from the bytes of the file; `shown` names it in errors.
pub fn parse(bytes: &[u8], shown: &str) -> Result<Checkpoint> {
    let found = if torch::is_torch(bytes) {
        Checkpoint { tensors: torch::parse(bytes, shown)?, metadata: BTreeMap::new() }
    } else {
        checkpoint::parse(bytes, shown)?
    };
    Ok(Checkpoint { tensors: renamed(found.tensors), ..found })
}

fn renamed(mut tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    while let Some(prefix) = PREFIXES.iter().find(|&&prefix| tensors.keys().all(|name| name.starts_with(prefix))) {
        if tensors.is_empty() {
            break;
        }
        tensors = tensors.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect();
    }
    tensors.into_iter().map(|(name, tensor)| (current(name), tensor)).collect()
}

/// torchvision's vision transformers called the layers of the perceptron `linear_1` and `linear_2` until 0.14, and their
/// published weights still do.
fn current(name: String) -> String {
    if !name.starts_with("encoder.layers.") {
        return name;
    }
    name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.")
}
