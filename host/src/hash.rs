//! SHA-256, in lower-case hexadecimal: how files are named in plans, reports and pins.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The SHA-256 of a file's content, read in pieces. Fails with the path when it can't be read.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// The SHA-256 of these bytes.
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The content of a file whose SHA-256 the plan has: what is checked is what is used, whoever changes the file meanwhile.
/// Fails with [`Error::Input`] where it is another file, or can't be read.
pub fn read_as_planned(path: &Path, sha256: &str) -> Result<Vec<u8>> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| Error::input(format!("can't read `{shown}`: {error}")))?;
    if sha256_bytes(&bytes) != sha256 {
        return Err(Error::input(format!(
            "`{shown}` has changed since the run was planned: put the old file back, or start another run"
        )));
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing into a string can't fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_bytes_agree_with_the_published_vector() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        assert_eq!(sha256_bytes(b"abc"), expected);
        assert_eq!(sha256_file(file.path()).unwrap(), expected);
        assert_eq!(read_as_planned(file.path(), expected).unwrap(), b"abc");
    }

    #[test]
    fn another_content_than_the_planned_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let planned = sha256_file(file.path()).unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let error = read_as_planned(file.path(), &planned).unwrap_err();
        assert!(error.to_string().contains("has changed since the run was planned"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
