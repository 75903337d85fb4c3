//! PyTorch's `.pth` and `.pt` files, in the zip format and in the one before PyTorch 1.6.
//!
//! Both hold a pickle, which is a program. It is read by a machine that knows how to build dictionaries, numbers, strings
//! and tensors and nothing else: whatever the file asks for beyond that is refused by name, and nothing is ever called.
//! Sizes are checked before memory is taken, so a small file can't ask for much.

mod archive;
mod cursor;
mod global;
mod legacy;
mod pickle;
mod state;
mod tensors;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::Tensor;

use self::value::{Heap, Value};
use crate::checkpoint::refuse_not_finite;
use crate::{Error, Result};

/// Why a file is refused, in the reader's words.
type Fault = String;

/// The bytes of storages by their key.
trait Storages {
    fn bytes(&self, key: &str) -> std::result::Result<Cow<'_, [u8]>, Fault>;
}

/// What either format comes to: a pickled object and where its tensors' elements are.
struct Parsed<'a> {
    heap: Heap,
    root: Value,
    storages: Box<dyn Storages + 'a>,
}

/// Whether these bytes begin as a file of `torch.save` does, in either format.
pub fn is_torch(bytes: &[u8]) -> bool {
    archive::is_zip(bytes) || legacy::is_legacy(bytes)
}

/// The state dict in the bytes of a `.pth` or `.pt` file, on the CPU; `shown` names it in errors.
///
/// A state dict inside the usual wrappers (`{"state_dict": …}`, `{"model": …}`, …) is found; other entries, such as an
/// epoch or an optimiser's state, are left out. Integers narrower than 64 bits become I64, booleans U8. Fails on anything
/// that is not a tensor, a number, a string or a container of them, naming it, and on NaN and infinities.
pub fn parse(bytes: &[u8], shown: &str) -> Result<BTreeMap<String, Tensor>> {
    let bad = |reason: Fault| Error::BadTorchFile { path: shown.into(), reason };
    let parsed = if archive::is_zip(bytes) { archive::parse(bytes) } else { legacy::parse(bytes) };
    let Parsed { heap, root, storages } = parsed.map_err(bad)?;
    let found = state::find(&heap, root).map_err(bad)?;
    let tensors = tensors::read(&heap, &found, storages.as_ref(), bytes.len()).map_err(bad)?;
    refuse_not_finite(&tensors, shown)?;
    Ok(tensors)
}
