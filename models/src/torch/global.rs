//! The types and functions that a file may name. There is no other way in: what isn't here is refused.

use super::Fault;

/// The type of a storage's elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

/// What a name means to us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    /// `torch.Size`: a tuple by another name.
    Size,
    /// `_rebuild_tensor` and `_rebuild_tensor_v2`, whose first four arguments are the same.
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
    /// A number type such as `torch.float32`, which stands beside tensors and is not needed.
    NumberType,
}

impl Global {
    pub fn named(module: &str, name: &str) -> Result<Self, Fault> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch" | "torch.cuda", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch" | "torch.cuda", "FloatStorage") => Self::Storage(Element::F32),
            ("torch" | "torch.cuda", "HalfStorage") => Self::Storage(Element::F16),
            ("torch" | "torch.cuda", "BFloat16Storage") => Self::Storage(Element::Bf16),
            ("torch" | "torch.cuda", "LongStorage") => Self::Storage(Element::I64),
            ("torch" | "torch.cuda", "IntStorage") => Self::Storage(Element::I32),
            ("torch" | "torch.cuda", "ShortStorage") => Self::Storage(Element::I16),
            ("torch" | "torch.cuda", "CharStorage") => Self::Storage(Element::I8),
            ("torch" | "torch.cuda", "ByteStorage") => Self::Storage(Element::U8),
            ("torch" | "torch.cuda", "BoolStorage") => Self::Storage(Element::Bool),
            ("torch", "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "uint8" | "bool") => {
                Self::NumberType
            }
            _ => {
                // The name comes from the file: control characters must not reach a terminal.
                let shown: String =
                    format!("{module}.{name}").chars().take(200).flat_map(char::escape_default).collect();
                return Err(format!(
                    "it holds a `{shown}`, which is not a tensor, and nothing in a file is executed: save the state dict \
                     alone, `torch.save(model.state_dict(), FILE)`"
                ));
            }
        })
    }
}
