//! Files told apart by their first bytes, and whether one of that kind belongs where it was named.

/// What a key of the recipe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A dynamic library: ELF, Mach-O or PE.
    Plugin,
    /// A WebAssembly component.
    Policy,
    /// A safetensors file.
    Weights,
    /// Any file: who reads it will say more.
    File,
    Folder,
}

/// What the first bytes of a file say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Library,
    Component,
    CoreModule,
    Safetensors,
    Empty,
    Other,
}

impl Magic {
    /// Of a file of so many bytes that begins with `head`.
    pub fn of(head: &[u8], length: u64) -> Self {
        let starts = |magic: &[u8]| head.starts_with(magic);
        if head.is_empty() {
            Self::Empty
        } else if starts(b"\x7fELF") || starts(b"\xcf\xfa\xed\xfe") || starts(b"\xca\xfe\xba\xbe") || starts(b"MZ") {
            Self::Library
        } else if starts(b"\0asm") {
            // Bytes 6 and 7 are the layer: 0 for core modules, 1 for components.
            if head.get(6..8) == Some(&[1, 0]) { Self::Component } else { Self::CoreModule }
        } else if is_safetensors(head, length) {
            Self::Safetensors
        } else {
            Self::Other
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Library => "a dynamic library",
            Self::Component => "a WebAssembly component",
            Self::CoreModule => "a WebAssembly core module",
            Self::Safetensors => "a safetensors file",
            Self::Empty => "empty",
            Self::Other => "of an unknown kind",
        }
    }
}

/// Eight bytes of header length, then a JSON object that fits into the file.
fn is_safetensors(head: &[u8], length: u64) -> bool {
    let Some((size, rest)) = head.split_first_chunk::<8>() else { return false };
    u64::from_le_bytes(*size) <= length.saturating_sub(8) && rest.first() == Some(&b'{')
}

/// What is wrong with a file of this sort in this place, with the remedy.
pub(super) fn mismatch(kind: Kind, found: Magic) -> Option<String> {
    let name = found.name();
    Some(match (kind, found) {
        (Kind::Plugin, Magic::Library)
        | (Kind::Policy, Magic::Component)
        | (Kind::Weights, Magic::Safetensors)
        | (Kind::File | Kind::Folder, _) => return None,
        (Kind::Plugin, Magic::Component) => {
            format!(
                "is {name}, a policy; a plugin, which is a dynamic library, belongs here (policies go to `select.policy` and `distill.weigher.policy`)"
            )
        }
        (Kind::Plugin, _) => format!("is {name}; a plugin, which is a dynamic library, belongs here"),
        (Kind::Policy, Magic::Library) => {
            format!(
                "is {name}, a plugin; a policy, which is a WebAssembly component, belongs here (plugins go to `teacher.plugin`)"
            )
        }
        (Kind::Policy, Magic::CoreModule) => {
            format!("is {name}; a policy, which is a component, belongs here: build it for the target wasm32-wasip2")
        }
        (Kind::Policy, _) => format!("is {name}; a policy, which is a WebAssembly component, belongs here"),
        (Kind::Weights, _) => format!("is {name}; weights in a safetensors file belong here"),
    })
}
