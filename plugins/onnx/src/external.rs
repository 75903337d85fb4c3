//! Whether an ONNX file is whole: weights may lie in a second file, which the recipe's pin would not cover.
//!
//! ONNX files are protocol buffers. Only three of their fields are looked at here: `ModelProto.graph` (7),
//! `GraphProto.initializer` (5) and, in its `TensorProto`, `name` (8) and `data_location` (14).

/// The name of a tensor whose values are in another file. Whatever can't be understood is left to ONNX Runtime.
pub(crate) fn tensor_elsewhere(model: &[u8]) -> Option<String> {
    let graphs = fields(model).filter_map(|field| field.bytes_of(7));
    let mut tensors = graphs.flat_map(fields).filter_map(|field| field.bytes_of(5));
    tensors.find_map(|tensor| {
        const EXTERNAL: u64 = 1;
        let elsewhere =
            fields(tensor).any(|field| matches!(field, Field { number: 14, value: Value::Number(EXTERNAL) }));
        let name = || fields(tensor).find_map(|field| field.bytes_of(8)).unwrap_or_default();
        elsewhere.then(|| String::from_utf8_lossy(name()).into_owned())
    })
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no field of interest has.
    Fixed,
}

struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

impl<'a> Field<'a> {
    fn bytes_of(&self, number: u64) -> Option<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) if self.number == number => Some(bytes),
            _ => None,
        }
    }
}

/// The fields of a message, up to the first that is broken.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some(Field { number: key >> 3, value })
    })
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

    #[test]
    fn whole_files_pass_and_the_others_name_a_tensor() {
        assert_eq!(tensor_elsewhere(&golden("external")).as_deref(), Some("w"));
        for name in ["strong", "cnn", "flat"] {
            assert_eq!(tensor_elsewhere(&golden(name)), None, "{name}");
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let whole = golden("external");
        for length in 0..whole.len() {
            tensor_elsewhere(&whole[..length]);
            let mut broken = whole.clone();
            broken[length] ^= 0xff;
            tensor_elsewhere(&broken);
        }
    }
}
