//! From storages and views to tensors, every number checked against the bytes that are there.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use candle_core::{Device, Tensor};
use half::{bf16, f16};

use super::cursor::size;
use super::global::{Element, Global};
use super::value::{Heap, Storage, TensorView, Value};
use super::{Fault, Storages};
use crate::checkpoint::elements;

/// More dimensions than any network has; shapes are copied, so a long one could be copied often.
const MOST_DIMENSIONS: usize = 16;

/// All tensors together may take this many times the file's bytes: enough for shared storages, too little for a bomb.
const MOST_GROWTH: usize = 8;
const ALWAYS_ALLOWED: usize = 1 << 20;

/// A storage from its persistent id, `("storage", type, key, place, count)`, with a view into another in old files.
pub(super) fn storage(heap: &mut Heap, id: Value) -> Result<Value, Fault> {
    let wrong = || Fault::from("a storage in it is not described as PyTorch describes them");
    let (kind, key, count, view) = match *heap.tuple(id)? {
        [tag, Value::Global(Global::Storage(kind)), key, _, Value::Int(count)]
        | [tag, Value::Global(Global::Storage(kind)), key, _, Value::Int(count), Value::None]
            if heap.text(tag).is_some_and(|tag| &**tag == "storage") =>
        {
            (kind, key, count, None)
        }
        [tag, Value::Global(Global::Storage(kind)), key, _, Value::Int(count), view]
            if heap.text(tag).is_some_and(|tag| &**tag == "storage") =>
        {
            (kind, key, count, Some(view))
        }
        _ => return Err(wrong()),
    };
    let key: Rc<str> = match (key, heap.text(key)) {
        (_, Some(text)) => text.clone(),
        (Value::Int(number), _) => number.to_string().into(),
        _ => return Err(wrong()),
    };
    let (first, count) = match view {
        None => (0, size(count)?),
        Some(view) => match *heap.tuple(view)? {
            [_, Value::Int(first), Value::Int(length)] => {
                let (first, length) = (size(first)?, size(length)?);
                let inside = first.checked_add(length).is_some_and(|end| end <= usize::try_from(count).unwrap_or(0));
                if !inside {
                    return Err(format!("a view of storage `{key}` reaches beyond its end"));
                }
                (first, length)
            }
            _ => return Err(wrong()),
        },
    };
    Ok(heap.new_storage(Storage { key, element: kind, first, count }))
}

/// A tensor from the arguments of `_rebuild_tensor`.
pub(super) fn rebuild(
    heap: &mut Heap,
    storage: Value,
    offset: Value,
    shape: Value,
    strides: Value,
) -> Result<Value, Fault> {
    let number = |value: &Value| match *value {
        Value::Int(number) => size(number),
        _ => Err("a tensor's shape, strides or offset is no whole number".into()),
    };
    let numbers = |value: Value| {
        let values = heap.tuple(value)?;
        if values.len() > MOST_DIMENSIONS {
            return Err(format!("a tensor in it has {} dimensions", values.len()));
        }
        values.iter().map(number).collect::<Result<Vec<usize>, Fault>>()
    };
    let (shape, strides, offset) = (numbers(shape)?, numbers(strides)?, number(&offset)?);
    if shape.len() != strides.len() {
        return Err(format!("a tensor has {} dimensions and {} strides", shape.len(), strides.len()));
    }
    let storage = heap.storage(storage)?.clone();
    Ok(heap.new_tensor(TensorView { storage, offset, shape, strides }))
}

/// Reads the tensors of a state dict; `length` is that of the file.
pub(super) fn read(
    heap: &Heap,
    entries: &[(Rc<str>, Value)],
    storages: &dyn Storages,
    length: usize,
) -> Result<BTreeMap<String, Tensor>, Fault> {
    let mut total = 0_usize;
    let mut kept: HashMap<&str, Cow<'_, [u8]>> = HashMap::new();
    let mut held = 0_usize;
    let mut tensors = BTreeMap::new();
    for (name, value) in entries {
        let Some(view) = heap.tensor(*value) else { continue };
        let named = |fault: Fault| format!("tensor `{}`: {fault}", name.escape_default());
        let count = count(view).map_err(named)?;
        // Candle's elements are at most eight bytes.
        total = count.checked_mul(8).and_then(|bytes| total.checked_add(bytes)).unwrap_or(usize::MAX);
        if total > length.saturating_mul(MOST_GROWTH).saturating_add(ALWAYS_ALLOWED) {
            return Err(named(format!("its shape {:?} asks for far more than the file's {length} bytes", view.shape)));
        }
        let key = &*view.storage.key;
        if !kept.contains_key(key) {
            let bytes = storages.bytes(key).map_err(named)?;
            held = held.saturating_add(bytes.len());
            if held > length {
                return Err(named(format!(
                    "the storages overlap: together they hold more than the file's {length} bytes"
                )));
            }
            kept.insert(key, bytes);
        }
        let bytes = kept.get(key).map_or(&[][..], |bytes| bytes);
        tensors.insert(name.to_string(), tensor(view, count, bytes).map_err(named)?);
    }
    Ok(tensors)
}

/// The elements of a view, if the view is inside its storage.
fn count(view: &TensorView) -> Result<usize, Fault> {
    let beyond = || format!("its shape {:?} reaches beyond its storage of {} elements", view.shape, view.storage.count);
    let count = elements(&view.shape).ok_or_else(beyond)?;
    if count > 0 {
        let mut steps = view.shape.iter().zip(&view.strides).map(|(&size, &stride)| (size - 1).checked_mul(stride));
        let last = steps.try_fold(view.offset, |last, step| last.checked_add(step?));
        if last.is_none_or(|last| last >= view.storage.count) {
            return Err(beyond());
        }
    }
    Ok(count)
}

/// `count` is that of [`count`], so every position is inside the storage's claim; the claim is checked here.
fn tensor(view: &TensorView, count: usize, bytes: &[u8]) -> Result<Tensor, Fault> {
    let Storage { element, first, count: claimed, .. } = view.storage;
    let range = |position: usize| position.checked_mul(element.size());
    let end = first.checked_add(claimed).and_then(range);
    let elements = end.zip(range(first)).and_then(|(end, start)| bytes.get(start..end));
    let elements = elements
        .ok_or_else(|| format!("its storage claims {claimed} elements, the file has {} bytes for it", bytes.len()))?;
    let positions = positions(view, count);
    let shape = view.shape.as_slice();
    let made = match element {
        Element::F64 => gather(elements, &positions, f64::from_le_bytes, shape),
        Element::F32 => gather(elements, &positions, f32::from_le_bytes, shape),
        Element::F16 => gather(elements, &positions, f16::from_le_bytes, shape),
        Element::Bf16 => gather(elements, &positions, bf16::from_le_bytes, shape),
        Element::I64 => gather(elements, &positions, i64::from_le_bytes, shape),
        Element::I32 => gather(elements, &positions, |bytes| i64::from(i32::from_le_bytes(bytes)), shape),
        Element::I16 => gather(elements, &positions, |bytes| i64::from(i16::from_le_bytes(bytes)), shape),
        Element::I8 => gather(elements, &positions, |bytes| i64::from(i8::from_le_bytes(bytes)), shape),
        Element::U8 | Element::Bool => gather(elements, &positions, u8::from_le_bytes, shape),
    };
    made.map_err(|error| error.to_string())
}

/// Where each element lies, in row-major order.
enum Positions {
    /// One after the other from here.
    From(usize),
    Each(Vec<usize>),
}

fn positions(view: &TensorView, count: usize) -> Positions {
    let mut expected = 1;
    let in_order = view.shape.iter().zip(&view.strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected *= size.max(1);
        fits
    });
    if in_order || count == 0 {
        return Positions::From(view.offset);
    }
    let mut all = vec![view.offset];
    for (&size, &stride) in view.shape.iter().zip(&view.strides) {
        all = all.iter().flat_map(|&start| (0..size).map(move |i| start + i * stride)).collect();
    }
    Positions::Each(all)
}

fn gather<const N: usize, T: candle_core::WithDType>(
    elements: &[u8],
    positions: &Positions,
    value: impl Fn([u8; N]) -> T,
    shape: &[usize],
) -> candle_core::Result<Tensor> {
    let (all, _) = elements.as_chunks::<N>();
    let count = shape.iter().product::<usize>();
    let values: Vec<T> = match positions {
        Positions::From(_) if count == 0 => Vec::new(),
        Positions::From(start) => all[*start..start + count].iter().map(|&bytes| value(bytes)).collect(),
        Positions::Each(positions) => positions.iter().map(|&at| value(all[at])).collect(),
    };
    Tensor::from_vec(values, shape, &Device::Cpu)
}
