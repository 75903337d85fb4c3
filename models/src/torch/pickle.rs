//! The pickle machine: a stack, marks and a memo, as Python's `pickle` documents its opcodes, without the power to call.

use std::collections::HashMap;

use super::Fault;
use super::cursor::{Cursor, size};
use super::global::Global;
use super::tensors::{rebuild, storage};
use super::value::{Heap, Value};

/// Runs one pickle to its end and returns what it built.
pub(super) fn load(heap: &mut Heap, cursor: &mut Cursor<'_>) -> Result<Value, Fault> {
    let mut machine = Machine { heap, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let opcode = cursor.byte()?;
        if opcode == b'.' {
            return machine.pop();
        }
        machine.step(opcode, cursor)?;
    }
}

struct Machine<'h> {
    heap: &'h mut Heap,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        match opcode {
            // Protocol and frames.
            0x80 => {
                cursor.byte()?;
            }
            0x95 => {
                cursor.array::<8>()?;
            }
            // The stack.
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.pop()?;
            }
            b'1' => drop(self.pop_marked()?),
            b'2' => self.stack.push(self.top()?),
            // The memo.
            b'q' => self.remember(usize::from(cursor.byte()?))?,
            b'r' => self.remember(size(u32::from_le_bytes(cursor.array()?))?)?,
            0x94 => self.remember(self.memo.len())?,
            b'h' => self.recall(usize::from(cursor.byte()?))?,
            b'j' => self.recall(size(u32::from_le_bytes(cursor.array()?))?)?,
            // Containers.
            b')' => self.tuple(Vec::new()),
            0x85..=0x87 => {
                let at = self.height_for(usize::from(opcode - 0x84))?;
                let items = self.stack.split_off(at);
                self.tuple(items);
            }
            b't' => {
                let items = self.pop_marked()?;
                self.tuple(items);
            }
            b']' | b'l' => {
                let items = if opcode == b'l' { self.pop_marked()? } else { Vec::new() };
                let list = self.heap.new_list(items);
                self.stack.push(list);
            }
            b'a' => {
                let item = self.pop()?;
                self.heap.extend_list(self.top()?, [item])?;
            }
            b'e' => {
                let items = self.pop_marked()?;
                self.heap.extend_list(self.top()?, items)?;
            }
            b'}' | b'd' => {
                let items = if opcode == b'd' { self.pop_marked()? } else { Vec::new() };
                let dict = self.heap.new_dict(Vec::new());
                self.stack.push(dict);
                self.insert(&items)?;
            }
            b's' => {
                let at = self.height_for(2)?;
                let items = self.stack.split_off(at);
                self.insert(&items)?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.insert(&items)?;
            }
            // Sets: allowed beside tensors, not kept.
            0x8f => self.stack.push(Value::Inert),
            0x90 => drop(self.pop_marked()?),
            0x91 => {
                self.pop_marked()?;
                self.stack.push(Value::Inert);
            }
            // Objects.
            b'c' => {
                let (module, name) = (cursor.line()?, cursor.line()?);
                self.stack.push(Value::Global(Global::named(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |value| self.heap.text(value).ok_or("a type is named by something that is no string");
                let global = Global::named(text(module)?, text(name)?)?;
                self.stack.push(Value::Global(global));
            }
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let built = self.reduce(function, arguments)?;
                self.stack.push(built);
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                let storage = storage(self.heap, id)?;
                self.stack.push(storage);
            }
            _ => {
                let value = self.scalar(opcode, cursor)?;
                self.stack.push(value);
            }
        }
        Ok(())
    }

    /// Numbers and strings.
    fn scalar(&mut self, opcode: u8, cursor: &mut Cursor<'_>) -> Result<Value, Fault> {
        Ok(match opcode {
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool,
            b'K' => Value::Int(i64::from(cursor.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(cursor.array()?))),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(cursor.array()?))),
            0x8a => {
                let count = usize::from(cursor.byte()?);
                long(cursor.take(count)?)
            }
            0x8b => {
                let count = size(i32::from_le_bytes(cursor.array()?))?;
                long(cursor.take(count)?)
            }
            b'G' => {
                cursor.array::<8>()?;
                Value::Inert
            }
            0x8c => {
                let count = usize::from(cursor.byte()?);
                self.heap.new_text(cursor.text(count)?)
            }
            b'X' => {
                let count = size(u32::from_le_bytes(cursor.array()?))?;
                self.heap.new_text(cursor.text(count)?)
            }
            0x8d => {
                let count = size(u64::from_le_bytes(cursor.array()?))?;
                self.heap.new_text(cursor.text(count)?)
            }
            // Python 2's strings: names of tensors in old files.
            b'U' => {
                let count = usize::from(cursor.byte()?);
                self.heap.new_text(cursor.text(count)?)
            }
            b'T' => {
                let count = size(i32::from_le_bytes(cursor.array()?))?;
                self.heap.new_text(cursor.text(count)?)
            }
            b'C' => {
                let count = usize::from(cursor.byte()?);
                cursor.take(count)?;
                Value::Inert
            }
            b'B' => {
                let count = size(u32::from_le_bytes(cursor.array()?))?;
                cursor.take(count)?;
                Value::Inert
            }
            0x8e | 0x96 => {
                let count = size(u64::from_le_bytes(cursor.array()?))?;
                cursor.take(count)?;
                Value::Inert
            }
            _ => return Err(format!("its pickle has the opcode {opcode:#04x}, which no state dict needs")),
        })
    }

    /// Stands for a call: builds what the few known names build, and nothing else.
    fn reduce(&mut self, function: Value, arguments: Value) -> Result<Value, Fault> {
        let Value::Global(global) = function else { return Err("it calls something that is no function".into()) };
        let given = self.heap.tuple(arguments)?;
        match (global, given) {
            (Global::OrderedDict, []) => Ok(self.heap.new_dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => {
                let pairs = self.heap.take_list(pairs)?;
                let pair = |&pair: &Value| match self.heap.list(pair).or(self.heap.tuple(pair).ok()) {
                    Some(&[key, value]) => Ok((key, value)),
                    _ => Err("an OrderedDict is not made of pairs".to_owned()),
                };
                let entries = pairs.iter().map(pair).collect::<Result<_, _>>()?;
                Ok(self.heap.new_dict(entries))
            }
            (Global::Size, &[sizes]) => self.heap.tuple(sizes).map(|_| sizes),
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                rebuild(self.heap, storage, offset, shape, strides)
            }
            (Global::RebuildParameter, &[tensor, ..]) if self.heap.tensor(tensor).is_some() => Ok(tensor),
            _ => Err(format!("{global:?} is given {} arguments, or wrong ones", given.len())),
        }
    }

    /// Attributes of an object: only a state dict has some (`_metadata`), and they aren't needed.
    fn build(&mut self) -> Result<(), Fault> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => Err("it gives attributes to something that is no state dict".into()),
        }
    }

    /// Adds keys and values, in turn, to the dictionary on top.
    fn insert(&mut self, items: &[Value]) -> Result<(), Fault> {
        let (dict, (pairs, rest)) = (self.top()?, items.as_chunks::<2>());
        if !rest.is_empty() {
            return Err("a dictionary in it has a key without a value".into());
        }
        pairs.iter().try_for_each(|&[key, value]| self.heap.insert(dict, key, value))
    }

    fn tuple(&mut self, items: Vec<Value>) {
        let tuple = self.heap.new_tuple(items);
        self.stack.push(tuple);
    }

    fn remember(&mut self, index: usize) -> Result<(), Fault> {
        let value = self.top()?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), Fault> {
        let value =
            self.memo.get(&index).ok_or_else(|| format!("its pickle recalls {index}, which was never stored"))?;
        self.stack.push(*value);
        Ok(())
    }

    /// The lowest height that the stack may be popped to: a mark is a floor.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// The height of the stack below its `count` topmost values.
    fn height_for(&self, count: usize) -> Result<usize, Fault> {
        let height = self.stack.len().checked_sub(count).filter(|&height| height >= self.floor());
        height.ok_or_else(|| "its pickle takes more from the stack than there is".into())
    }

    fn top(&self) -> Result<Value, Fault> {
        let at = self.height_for(1)?;
        Ok(self.stack[at])
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn pop_marked(&mut self) -> Result<Vec<Value>, Fault> {
        let mark = self.marks.pop().ok_or("its pickle looks for a mark that is not there")?;
        Ok(self.stack.split_off(mark))
    }
}

/// A whole number of up to eight little-endian bytes; longer ones are not kept.
fn long(bytes: &[u8]) -> Value {
    let mut wide = match bytes.last() {
        Some(last) if *last >= 0x80 => [0xff; 8],
        _ => [0; 8],
    };
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        None => Value::Inert,
    }
}
