//! Whether an ONNX file is whole: weights may lie in a second file, which the recipe's pin would not cover.
//!
//! ONNX files are protocol buffers. Of their fields are looked at those in which a `TensorProto` may be, however deep, by the
//! numbers in `onnx.proto`, and of each tensor `name` (8) and `data_location` (14). What this reader can't follow is refused:
//! ONNX Runtime might read on where it stopped.

/// Why a file can't be trusted to be all of the model.
#[derive(Debug, PartialEq)]
pub(crate) enum Doubt {
    /// The values of the tensor of this name, which may be empty, are in another file.
    Elsewhere(String),
    /// It is no protocol buffer, or not one that ONNX's writers make.
    Broken,
}

/// Fails unless all values of all tensors are in the model itself: initializers, attributes of nodes, in graphs within them
/// and in functions, dense or sparse, and what is there for training.
pub(crate) fn whole(model: &[u8]) -> Result<(), Doubt> {
    look(Message::Model, model, 0)
}

/// The messages of `onnx.proto` on the way to a tensor.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Sparse,
    Tensor,
}

impl Message {
    /// What the field of this number holds, where tensors may be in it.
    fn field(self, number: u32) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::Sparse),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Some(Self::Tensor),
            _ => None,
        }
    }
}

/// Messages within messages that protocol buffers' readers allow.
const DEEPEST: usize = 100;

fn look(message: Message, bytes: &[u8], depth: usize) -> Result<(), Doubt> {
    const EXTERNAL: u32 = 1;
    if depth > DEEPEST {
        return Err(Doubt::Broken);
    }
    let (mut name, mut elsewhere) = (String::new(), false);
    for field in fields(bytes) {
        match field? {
            Field { number: 8, value: Value::Bytes(text) } if message == Message::Tensor => {
                name = String::from_utf8_lossy(text).into_owned();
            }
            // The upper half of a number is not part of an enum.
            Field { number: 14, value: Value::Number(place) } if message == Message::Tensor => {
                elsewhere |= place as u32 == EXTERNAL;
            }
            Field { number, value: Value::Bytes(within) } => {
                message.field(number).map_or(Ok(()), |message| look(message, within, depth + 1))?;
            }
            _ => {}
        }
    }
    if elsewhere { Err(Doubt::Elsewhere(name)) } else { Ok(()) }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no field of interest has.
    Fixed,
}

struct Field<'a> {
    number: u32,
    value: Value<'a>,
}

/// The fields of a message, up to the first that is broken.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Doubt>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = field(&mut rest);
        if found.is_none() {
            rest = &[];
        }
        Some(found.ok_or(Doubt::Broken))
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    // Readers of protocol buffers differ in what they make of a longer key, and of groups, which ONNX doesn't have.
    let key = u32::try_from(varint(rest)?).ok()?;
    let value = match key & 7 {
        0 => Value::Number(varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some(Field { number: key >> 3, value })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// Seven bits a byte, the lowest first; the last byte has its top bit clear.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let path = format!("{}/../../tests/golden/onnx/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    }

    fn elsewhere(name: &str) -> Result<(), Doubt> {
        Err(Doubt::Elsewhere(name.into()))
    }

    /// In two bytes, even where one would do.
    fn varint_of(number: usize) -> [u8; 2] {
        [(number % 128) as u8 | 0x80, (number / 128) as u8]
    }

    /// A field with a message in it.
    fn field(number: usize, content: &[u8]) -> Vec<u8> {
        [&varint_of(8 * number + 2), &varint_of(content.len()), content].concat()
    }

    /// `w`, whose values are in another file.
    const OUTSIDE: &[u8] = b"\x42\x01w\x70\x01";

    #[test]
    fn whole_files_pass_and_the_others_name_a_tensor() {
        assert_eq!(whole(&golden("external")), elsewhere("w"));
        for name in ["strong", "cnn", "flat"] {
            assert_eq!(whole(&golden(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_tensor_elsewhere_is_found_wherever_it_is() {
        let paths: [&[usize]; 16] = [
            &[7, 5],                         // an initializer
            &[7, 15, 1],                     // the values of a sparse one
            &[7, 15, 2],                     // its indices
            &[7, 1, 5, 5],                   // a Constant node
            &[7, 1, 5, 10],                  // a list of tensors
            &[7, 1, 5, 22, 1],               // a sparse Constant
            &[7, 1, 5, 23, 2],               // a list of these
            &[7, 1, 5, 6, 5],                // the branch of an If
            &[7, 1, 5, 6, 1, 5, 6, 1, 5, 5], // a Constant two graphs down
            &[7, 1, 5, 11, 15, 1],           // a list of graphs
            &[20, 1, 5],                     // how training starts
            &[20, 2, 1, 5, 5],               // and goes on
            &[25, 7, 5, 5],                  // a function's node
            &[25, 7, 5, 6, 5],               // a graph in one
            &[25, 11, 5],                    // a default attribute
            &[25, 11, 6, 1, 5, 10],
        ];
        for path in paths {
            let within =
                |tensor: &[u8]| path.iter().rev().fold(tensor.to_vec(), |inner, &number| field(number, &inner));
            assert_eq!(whole(&within(OUTSIDE)), elsewhere("w"), "{path:?}");
            assert_eq!(whole(&within(b"\x42\x01w\x70\x00")), Ok(()), "{path:?}");
            // Behind another tensor, said twice, and in a number whose upper half a reader cuts off.
            let behind = [within(b"\x42\x01v"), within(OUTSIDE)].concat();
            assert_eq!(whole(&behind), elsewhere("w"), "{path:?}");
            assert_eq!(whole(&within(b"\x42\x01w\x70\x01\x70\x00")), elsewhere("w"), "{path:?}");
            assert_eq!(whole(&within(b"\x42\x01w\x70\x81\x80\x80\x80\x10")), elsewhere("w"), "{path:?}");
        }
    }

    /// ONNX Runtime might go on where this reader stops.
    #[test]
    fn nothing_hides_behind_what_is_not_understood() {
        let outside = field(7, &field(5, OUTSIDE));
        let group = [varint_of(8 * 27 + 3), varint_of(8 * 27 + 4)].concat();
        for before in [&group, &b"\x88\x80\x80\x80\x10\x00"[..], b"\x07"] {
            assert_eq!(whole(&[before, &outside].concat()), Err(Doubt::Broken), "{before:?}");
        }
        let nested = (0..40).fold(field(5, OUTSIDE), |graph, _| field(1, &field(5, &field(6, &graph))));
        assert_eq!(whole(&field(7, &nested)), Err(Doubt::Broken));
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let external = golden("external");
        for length in 0..external.len() {
            let _ = whole(&external[..length]);
            let mut broken = external.clone();
            broken[length] ^= 0xff;
            let _ = whole(&broken);
        }
    }
}
