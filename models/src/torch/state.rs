//! Finding the state dict in what was pickled.

use std::rc::Rc;

use super::Fault;
use super::value::{Heap, Value};

/// Keys under which training scripts keep the state dict, in the order in which they are tried.
const WRAPPERS: &[&str] =
    &["state_dict", "model_state_dict", "model_state", "model", "net", "network", "params", "module"];

/// Wrappers inside wrappers.
const MOST_WRAPPERS: usize = 4;

/// The tensors of the state dict in `root` by name, in their order.
pub(super) fn find(heap: &Heap, root: Value) -> Result<Vec<(Rc<str>, Value)>, Fault> {
    if heap.tensor(root).is_some() {
        return Err("it holds one tensor without a name, not a state dict".into());
    }
    let mut current = root;
    for _ in 0..MOST_WRAPPERS {
        let entries = heap.dict(current).ok_or("it holds no dictionary of tensors")?;
        let under = |key: &&str| {
            let entry = entries.iter().rev().find(|entry| heap.text(entry.0).is_some_and(|text| &**text == *key))?;
            heap.dict(entry.1).is_some().then_some(entry.1)
        };
        match WRAPPERS.iter().find_map(under) {
            Some(wrapped) => current = wrapped,
            None => break,
        }
    }
    let entries = heap.dict(current).unwrap_or_default();
    let named =
        entries.iter().filter_map(|&(key, value)| Some((heap.text(key)?.clone(), heap.tensor(value).map(|_| value)?)));
    let found: Vec<_> = named.collect();
    if found.is_empty() {
        let keys = entries.iter().filter_map(|entry| heap.text(entry.0)).take(8);
        let keys: Vec<_> = keys.map(|key| format!("`{}`", key.escape_default())).collect();
        return Err(format!(
            "it holds no tensors by name; it has {}",
            if keys.is_empty() { "no keys".into() } else { keys.join(", ") }
        ));
    }
    Ok(found)
}
