//! What kind of file the user named, from its first bytes and its outline. Never runs or compiles anything.

use std::fmt;

/// What a file that is no component turned out to be. Displays as the rest of a sentence that begins with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Empty,
    CoreModule,
    Precompiled,
    SharedLibrary,
    Text,
    LfsPointer,
    Archive,
    /// A WebAssembly file of a layout that this host doesn't know.
    UnknownLayer {
        version: u16,
        layer: u16,
    },
    /// A component that ends too early: it has `bytes` and needs at least `needed`.
    Truncated {
        bytes: usize,
        needed: usize,
    },
    Unknown,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "is empty: build it again"),
            Self::CoreModule => write!(
                f,
                "is a core WebAssembly module, not a component: build it with `--target wasm32-wasip2`, or wrap it with \
                 `wasm-tools component new`"
            ),
            Self::Precompiled => write!(
                f,
                "is machine code compiled ahead (.cwasm), which is never loaded: name the .wasm it was made of"
            ),
            Self::SharedLibrary => write!(
                f,
                "is a native library or program, not a WebAssembly component: a plugin belongs under [teacher], a policy \
                 is built with `--target wasm32-wasip2`"
            ),
            Self::Text => {
                write!(
                    f,
                    "is WebAssembly text, not a component in binary form: turn it into one with `wasm-tools parse`"
                )
            }
            Self::LfsPointer => write!(f, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
            Self::Archive => write!(f, "is a compressed archive: unpack it first"),
            Self::UnknownLayer { version, layer } => write!(
                f,
                "is WebAssembly of an unknown layout (version {version}, layer {layer}): build it with wit-bindgen and \
                 `--target wasm32-wasip2`"
            ),
            Self::Truncated { bytes, needed } => {
                write!(f, "is cut off: it has {bytes} bytes and needs at least {needed}; copy or build it again")
            }
            Self::Unknown => write!(f, "is not a WebAssembly component, nor anything like it: check the path"),
        }
    }
}

const COMPONENT: [u8; 4] = [0x0d, 0x00, 0x01, 0x00];
const CORE: [u8; 4] = [0x01, 0x00, 0x00, 0x00];
/// `EI_OSABI` of files that wasmtime serialises.
const OSABI_WASMTIME: u8 = 200;

/// Nothing when the bytes look like a whole component, otherwise what they are.
pub fn sniff(bytes: &[u8]) -> Option<Found> {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    if bytes.is_empty() {
        return Some(Found::Empty);
    }
    if starts(b"\0asm") {
        return match bytes.get(4..8) {
            None => Some(Found::Truncated { bytes: bytes.len(), needed: 8 }),
            Some(header) if header == COMPONENT => truncated(bytes),
            Some(header) if header == CORE => Some(Found::CoreModule),
            Some(header) => Some(Found::UnknownLayer {
                version: u16::from_le_bytes([header[0], header[1]]),
                layer: u16::from_le_bytes([header[2], header[3]]),
            }),
        };
    }
    Some(match () {
        () if b"\0asm".starts_with(bytes) => Found::Truncated { bytes: bytes.len(), needed: 8 },
        () if starts(b"\x7fELF") && bytes.get(7) == Some(&OSABI_WASMTIME) => Found::Precompiled,
        () if starts(b"\x7fELF") || starts(b"MZ") || starts(&[0xcf, 0xfa, 0xed, 0xfe]) => Found::SharedLibrary,
        () if starts(b"version https://git-lfs") => Found::LfsPointer,
        () if starts(&[0x1f, 0x8b]) || starts(b"PK\x03\x04") || starts(b"BZh") || starts(&[0x28, 0xb5, 0x2f, 0xfd]) => {
            Found::Archive
        }
        () if is_wat(bytes) => Found::Text,
        () => Found::Unknown,
    })
}

fn is_wat(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.starts_with(b"(component") || text.starts_with(b"(module") || text.starts_with(b";;")
}

/// Walks over the sections (an id, a LEB128 length, as many bytes) up to the end.
fn truncated(bytes: &[u8]) -> Option<Found> {
    let mut at = 8;
    while at < bytes.len() {
        let cut = |needed| Some(Found::Truncated { bytes: bytes.len(), needed });
        let (length, digits) = match leb128(&bytes[at + 1..]) {
            Leb::Number(length, digits) => (length, digits),
            Leb::Short => return cut(bytes.len() + 1),
            Leb::TooLong => return None, // not a section at all: the parser says where
        };
        at += 1 + digits + length as usize;
        if at > bytes.len() {
            return cut(at);
        }
    }
    None
}

enum Leb {
    Number(u32, usize),
    Short,
    TooLong,
}

fn leb128(bytes: &[u8]) -> Leb {
    let mut value = 0_u64;
    for (digit, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * digit);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_or(Leb::TooLong, |value| Leb::Number(value, digit + 1));
        }
    }
    if bytes.len() < 5 { Leb::Short } else { Leb::TooLong }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], want: Option<Found>) {
        assert_eq!(sniff(bytes), want);
    }

    #[test]
    fn wrong_kinds_are_told_apart() {
        check(b"", Some(Found::Empty));
        check(b"\0asm\x01\0\0\0", Some(Found::CoreModule));
        check(b"\0asm\x0d\0\x01\0", None);
        check(b"\0asm\x07\0\x02\0", Some(Found::UnknownLayer { version: 7, layer: 2 }));
        check(b"\x7fELF\x02\x01\x01\x00", Some(Found::SharedLibrary));
        check(b"\x7fELF\x02\x01\x01\xc8", Some(Found::Precompiled));
        check(b"  (component)", Some(Found::Text));
        check(b"version https://git-lfs.github.com/spec/v1", Some(Found::LfsPointer));
        check(b"PK\x03\x04rest", Some(Found::Archive));
        check(b"random bytes", Some(Found::Unknown));
    }

    #[test]
    fn a_cut_file_says_how_much_is_missing() {
        check(b"\0as", Some(Found::Truncated { bytes: 3, needed: 8 }));
        check(b"\0asm\x0d\0\x01\0\x00\x05abc", Some(Found::Truncated { bytes: 13, needed: 15 }));
        check(b"\0asm\x0d\0\x01\0\x00", Some(Found::Truncated { bytes: 9, needed: 10 }));
        check(b"\0asm\x0d\0\x01\0\x00\x03abc", None);
    }
}
