//! What a pickle builds. Containers live in one heap and are named by number, so that they may contain themselves without
//! a leak and are shared without a copy.

use std::rc::Rc;

use super::Fault;
use super::global::{Element, Global};

/// The place of a container in its list in the [`Heap`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Id(usize);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool,
    Int(i64),
    /// Fractions, bytes, sets, numbers of more than 64 bits: kept in place of what no tensor needs.
    Inert,
    Text(Id),
    Tuple(Id),
    List(Id),
    Dict(Id),
    Global(Global),
    Storage(Id),
    Tensor(Id),
}

/// Elements of one type under a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    pub key: Rc<str>,
    pub element: Element,
    /// Where it starts within the key's elements.
    pub first: usize,
    pub count: usize,
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub(super) struct TensorView {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

#[derive(Default)]
pub(super) struct Heap {
    texts: Vec<Rc<str>>,
    tuples: Vec<Vec<Value>>,
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    storages: Vec<Storage>,
    tensors: Vec<TensorView>,
}

fn push<T>(all: &mut Vec<T>, item: T) -> Id {
    all.push(item);
    Id(all.len() - 1)
}

/// Ids are made by this heap alone, and nothing is ever removed: every id is inside.
impl Heap {
    pub fn new_text(&mut self, text: &str) -> Value {
        Value::Text(push(&mut self.texts, text.into()))
    }

    pub fn new_tuple(&mut self, items: Vec<Value>) -> Value {
        Value::Tuple(push(&mut self.tuples, items))
    }

    pub fn new_list(&mut self, items: Vec<Value>) -> Value {
        Value::List(push(&mut self.lists, items))
    }

    pub fn new_dict(&mut self, entries: Vec<(Value, Value)>) -> Value {
        Value::Dict(push(&mut self.dicts, entries))
    }

    pub fn new_storage(&mut self, storage: Storage) -> Value {
        Value::Storage(push(&mut self.storages, storage))
    }

    pub fn new_tensor(&mut self, tensor: TensorView) -> Value {
        Value::Tensor(push(&mut self.tensors, tensor))
    }

    pub fn text(&self, value: Value) -> Option<&Rc<str>> {
        if let Value::Text(id) = value { self.texts.get(id.0) } else { None }
    }

    pub fn tuple(&self, value: Value) -> Result<&[Value], Fault> {
        if let Value::Tuple(id) = value { Ok(&self.tuples[id.0]) } else { Err(wrong("a tuple", value)) }
    }

    pub fn list(&self, value: Value) -> Option<&[Value]> {
        if let Value::List(id) = value { Some(&self.lists[id.0]) } else { None }
    }

    /// Moves the items out of a list, so that copies of a shared one can't add up.
    pub fn take_list(&mut self, value: Value) -> Result<Vec<Value>, Fault> {
        if let Value::List(id) = value {
            Ok(std::mem::take(&mut self.lists[id.0]))
        } else {
            Err(wrong("a list", value))
        }
    }

    pub fn extend_list(&mut self, list: Value, items: impl IntoIterator<Item = Value>) -> Result<(), Fault> {
        let Value::List(id) = list else { return Err(wrong("a list", list)) };
        self.lists[id.0].extend(items);
        Ok(())
    }

    pub fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        if let Value::Dict(id) = value { Some(&self.dicts[id.0]) } else { None }
    }

    pub fn insert(&mut self, dict: Value, key: Value, value: Value) -> Result<(), Fault> {
        let Value::Dict(id) = dict else { return Err(wrong("a dictionary", dict)) };
        self.dicts[id.0].push((key, value));
        Ok(())
    }

    pub fn storage(&self, value: Value) -> Result<&Storage, Fault> {
        if let Value::Storage(id) = value { Ok(&self.storages[id.0]) } else { Err(wrong("a storage", value)) }
    }

    /// The type of the elements under each key.
    pub fn elements(&self) -> impl Iterator<Item = (&str, Element)> {
        self.storages.iter().map(|storage| (&*storage.key, storage.element))
    }

    pub fn tensor(&self, value: Value) -> Option<&TensorView> {
        if let Value::Tensor(id) = value { Some(&self.tensors[id.0]) } else { None }
    }
}

fn wrong(expected: &str, found: Value) -> Fault {
    let found = match found {
        Value::None => "None",
        Value::Bool => "a truth value",
        Value::Int(_) => "a whole number",
        Value::Inert => "something that is no tensor",
        Value::Text(_) => "a string",
        Value::Tuple(_) => "a tuple",
        Value::List(_) => "a list",
        Value::Dict(_) => "a dictionary",
        Value::Global(_) => "a type or function",
        Value::Storage(_) => "a storage",
        Value::Tensor(_) => "a tensor",
    };
    format!("it has {found} where {expected} belongs")
}
