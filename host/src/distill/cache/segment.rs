//! One file of kept logits: written whole, checked whole, then read value by value.
//!
//! Little endian: 8 bytes of magic, u32 version, u32 values an entry, u64 entries, f64 seconds that the teacher took for them, 32
//! bytes of the teacher's key; then 16 bytes of key for each entry; then its logits, f32; then the SHA-256 of all before.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Key;

const MAGIC: &[u8; 8] = b"LMBLOGIT";
const VERSION: u32 = 1;
const HEAD: usize = 64;
const KEY: usize = size_of::<Key>();
const SUM: usize = 32;
/// Bytes of a file beside those of its entries.
pub(super) const FRAME: u64 = (HEAD + SUM) as u64;

/// A segment that was whole when it was opened.
pub(super) struct Segment {
    file: std::fs::File,
    width: usize,
    /// Of the entries, in their order.
    pub(super) keys: Vec<Key>,
    /// How long the teacher took for these entries.
    pub(super) seconds: f64,
    pub(super) bytes: u64,
}

impl Segment {
    /// The bytes of a segment. `logits` has `width` values for each key.
    pub(super) fn to_bytes(teacher: &[u8; 32], width: usize, seconds: f64, keys: &[Key], logits: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + keys.len() * (KEY + 4 * width) + SUM);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(width as u32).to_le_bytes());
        bytes.extend_from_slice(&(keys.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&seconds.to_le_bytes());
        bytes.extend_from_slice(teacher);
        keys.iter().for_each(|key| bytes.extend_from_slice(key));
        logits.iter().for_each(|logit| bytes.extend_from_slice(&logit.to_le_bytes()));
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// Reads and checks a segment. The error says what is wrong with it.
    pub(super) fn open(path: &Path, teacher: &[u8; 32], width: usize) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
        let short = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).unwrap_or_default();
        if bytes.len() < HEAD + SUM || !bytes.starts_with(MAGIC) || short(8) != VERSION {
            return Err("it is no file of kept logits".into());
        }
        let (content, sum) = bytes.split_at(bytes.len() - SUM);
        if Sha256::digest(content).as_slice() != sum {
            return Err("its checksum does not fit its content".into());
        }
        if short(12) as usize != width || &bytes[32..HEAD] != teacher {
            return Err("it is of another teacher".into());
        }
        let count = usize::try_from(number(16)).unwrap_or(usize::MAX);
        let expected = count.checked_mul(KEY + 4 * width).and_then(|body| body.checked_add(HEAD));
        if expected != Some(content.len()) {
            return Err(format!("it has {} bytes for {count} entries", bytes.len()));
        }
        let keys = content[HEAD..HEAD + count * KEY].chunks_exact(KEY).map(|key| {
            let mut own = Key::default();
            own.copy_from_slice(key);
            own
        });
        let keys = keys.collect();
        let seconds = f64::from_bits(number(24));
        let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
        Ok(Self { file, width, keys, seconds, bytes: bytes.len() as u64 })
    }

    /// The logits of one entry.
    pub(super) fn read(&self, entry: usize) -> std::io::Result<Vec<f32>> {
        if entry >= self.keys.len() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let mut raw = vec![0; 4 * self.width];
        let start = HEAD + self.keys.len() * KEY + entry * raw.len();
        self.file.read_exact_at(&mut raw, start as u64)?;
        Ok(raw.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_every_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let (teacher, keys) = ([7; 32], [[1; 16], [2; 16]]);
        let bytes = Segment::to_bytes(&teacher, 3, 0.5, &keys, &[1.0, 2.0, 3.0, -0.0, f32::MIN, 1e-30]);
        std::fs::write(&path, &bytes).unwrap();
        let segment = Segment::open(&path, &teacher, 3).unwrap();
        assert_eq!((segment.keys.as_slice(), segment.seconds), (&keys[..], 0.5));
        assert_eq!(segment.read(1).unwrap(), [-0.0, f32::MIN, 1e-30]);
        assert!(segment.read(2).is_err(), "behind the last entry there is only the checksum");
        assert!(Segment::open(&path, &[8; 32], 3).err().unwrap().contains("another teacher"));
        assert!(Segment::open(&path, &teacher, 2).err().unwrap().contains("another teacher"));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            assert!(Segment::open(&path, &teacher, 3).is_err(), "byte {at}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(Segment::open(&path, &teacher, 3).is_err(), "cut at {at}");
        }
    }
}
