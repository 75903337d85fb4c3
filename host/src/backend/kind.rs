//! What a file is, from its first bytes: the loader's own messages for a wrong file say little, and for a truncated one
//! it dies.

/// Fails, in words, on anything but a whole shared library for this machine.
pub(super) fn require_shared_library(bytes: &[u8]) -> Result<(), String> {
    if bytes.starts_with(b"\0asm") {
        let what = if bytes.get(4..8) == Some(&[0x0d, 0, 1, 0]) { "component" } else { "module" };
        return Err(format!(
            "is a WebAssembly {what}, where a native plugin (a shared library) belongs: \
             components go under [select] or [distill.weigher]"
        ));
    }
    if cfg!(target_vendor = "apple") {
        return require_mach_o(bytes);
    }
    require_elf(bytes)
}

fn require_mach_o(bytes: &[u8]) -> Result<(), String> {
    let known = [[0xcf, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]];
    if known.iter().any(|magic| bytes.starts_with(magic)) { Ok(()) } else { Err(unlike_a_library(bytes)) }
}

fn require_elf(bytes: &[u8]) -> Result<(), String> {
    const HEADER: usize = 64;
    const SHARED: u16 = 3;
    if !bytes.starts_with(b"\x7fELF") {
        return Err(unlike_a_library(bytes));
    }
    if bytes.len() < HEADER {
        return Err(format!("is an ELF file cut off after {} bytes: copy or build it again", bytes.len()));
    }
    let machine = machine_name(bytes[4], bytes[5], u16_at(bytes, 18));
    let here = std::env::consts::ARCH;
    if machine != here {
        return Err(format!("is built for {machine}, this machine is {here}: build it for {here}"));
    }
    if u16_at(bytes, 16) != SHARED {
        let kind = if u16_at(bytes, 16) == 1 { "an object file" } else { "a program" };
        return Err(format!("is {kind}, not a shared library: link it with `-shared`"));
    }
    whole_segments(bytes)
}

/// Mapping a segment past the end of the file would end the process by SIGBUS.
fn whole_segments(bytes: &[u8]) -> Result<(), String> {
    const LOAD: u32 = 1;
    let (table, entry_size, count) =
        (u64_at(bytes, 32), usize::from(u16_at(bytes, 54)), usize::from(u16_at(bytes, 56)));
    let broken = || "has a broken program header table: build it again".to_owned();
    let table = usize::try_from(table).map_err(|_| broken())?;
    for index in 0..count {
        let start = table.checked_add(index * entry_size).ok_or_else(broken)?;
        let header = start.checked_add(56).and_then(|end| bytes.get(start..end)).ok_or_else(broken)?;
        let end = u64_at(header, 8).checked_add(u64_at(header, 32)).ok_or_else(broken)?;
        if u64_at(header, 0) as u32 == LOAD && end > bytes.len() as u64 {
            return Err(format!("is cut off: it has {} bytes of {end} or more: copy or build it again", bytes.len()));
        }
    }
    Ok(())
}

fn unlike_a_library(bytes: &[u8]) -> String {
    let what = match bytes {
        [] => "is empty",
        [b'M', b'Z', ..] => "is a Windows library",
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => "is a macOS library",
        [0x7f, b'E', b'L', b'F', ..] => "is a Linux library",
        [b'P', b'K', 3, 4, ..] => "is a zip file",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "is a static library",
        _ => "is not a shared library",
    };
    let remedy = if cfg!(target_vendor = "apple") { ".dylib" } else { ".so" };
    format!("{what}: `plugin` names the {remedy} file of a backend built for this machine")
}

/// The architecture in Rust's words.
fn machine_name(class: u8, order: u8, machine: u16) -> String {
    match (class, order, machine) {
        (2, 1, 62) => "x86_64".into(),
        (2, 1, 183) => "aarch64".into(),
        (2, 1, 243) => "riscv64".into(),
        (2, 1, 21) => "powerpc64".into(),
        (1, 1, 3) => "x86 (32 bits)".into(),
        (1, 1, 40) => "arm (32 bits)".into(),
        (class, _, machine) => format!("ELF machine {machine}, class {class}"),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    /// A 64-byte ELF header of this type and machine, without segments.
    fn header(kind: u16, machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[16..18].copy_from_slice(&kind.to_le_bytes());
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    #[track_caller]
    fn refused(bytes: &[u8], part: &str) {
        let message = require_shared_library(bytes).unwrap_err();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn each_wrong_file_is_called_by_its_name() {
        refused(b"", "is empty");
        refused(b"hello", "is not a shared library");
        refused(b"\0asm\x0d\0\x01\0", "WebAssembly component, where a native plugin");
        refused(b"\0asm\x01\0\0\0", "WebAssembly module");
        refused(b"MZ\x90\0", "Windows");
        refused(&header(3, 183), "is built for aarch64, this machine is x86_64");
        refused(&header(2, 62), "is a program");
        refused(&header(1, 62), "is an object file");
        refused(&header(3, 62)[..40], "cut off after 40 bytes");
        assert_eq!(require_shared_library(&header(3, 62)), Ok(()));
    }

    #[test]
    fn a_segment_past_the_end_is_refused() {
        let mut bytes = header(3, 62);
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..58].copy_from_slice(&[56, 0, 1, 0]);
        refused(&bytes, "broken program header");
        bytes.resize(64 + 56, 0);
        bytes[64] = 1;
        bytes[64 + 32..64 + 40].copy_from_slice(&1000u64.to_le_bytes());
        refused(&bytes, "is cut off: it has 120 bytes of 1000 or more");
        bytes[64 + 8..64 + 16].copy_from_slice(&u64::MAX.to_le_bytes());
        refused(&bytes, "broken program header");
    }
}
