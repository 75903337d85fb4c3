//! The format before PyTorch 1.6: five pickles (magic number, version, the writer's machine, the object, the storages'
//! keys), then each storage as its length in elements and its bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::cursor::{Cursor, size};
use super::global::Element;
use super::value::{Heap, Value};
use super::{Fault, Parsed, Storages, pickle};

/// `LONG1` of ten bytes: PyTorch's magic number, 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// After two bytes of protocol and, from protocol 4 on, nine of frame.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x80)
        && [2, 11].iter().any(|&at| bytes.get(at..).is_some_and(|rest| rest.starts_with(MAGIC)))
}

struct Stored<'a> {
    bytes: &'a [u8],
    places: HashMap<String, Range<usize>>,
}

impl Storages for Stored<'_> {
    fn bytes(&self, key: &str) -> Result<Cow<'_, [u8]>, Fault> {
        let place =
            self.places.get(key).ok_or_else(|| format!("the file has no storage `{}`", key.escape_default()))?;
        Ok(Cow::Borrowed(&self.bytes[place.clone()]))
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Fault> {
    let mut cursor = Cursor::new(bytes);
    let mut heap = Heap::default();
    pickle::load(&mut heap, &mut cursor)?;
    let version = pickle::load(&mut heap, &mut cursor)?;
    if version != Value::Int(1001) {
        return Err("it is of a version of PyTorch's old format that is not known: save it again".into());
    }
    let _machine = pickle::load(&mut heap, &mut cursor)?;
    let root = pickle::load(&mut heap, &mut cursor)?;
    let keys = pickle::load(&mut heap, &mut cursor)?;
    let elements: HashMap<String, Element> = heap.elements().map(|(key, element)| (key.to_owned(), element)).collect();
    let mut places = HashMap::new();
    for &key in heap.list(keys).ok_or("it has no list of storages")? {
        let key = heap.text(key).ok_or("a storage's key is no string")?.to_string();
        // The length is in elements, and only the object says of which type they are.
        let element =
            elements.get(&key).ok_or_else(|| format!("nothing uses the storage `{}`", key.escape_default()))?;
        let count = size(i64::from_le_bytes(cursor.array()?))?;
        let length = count.checked_mul(element.size()).ok_or("a storage in it is impossibly long")?;
        let start = bytes.len() - cursor.remaining();
        cursor.take(length)?;
        places.insert(key, start..start + length);
    }
    Ok(Parsed { heap, root, storages: Box::new(Stored { bytes, places }) })
}
