//! A file read from front to back, plain or gzipped, that knows its name and place when something is wrong.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::{Error, Result};

/// No deflate stream grows by more than this factor, so a header that claims more is lying.
const DEFLATE_LIMIT: u64 = 1032;

/// How a gzip stream begins; 0x8b follows.
const GZIP: u8 = 0x1f;

/// Where the bytes of a data file come from.
pub(super) struct Source {
    name: String,
    reader: Box<dyn Read>,
    /// How many (decompressed) bytes were read.
    offset: u64,
    gzip: bool,
    /// An upper bound on the (decompressed) length; exact for a plain file.
    at_most: u64,
}

impl Source {
    /// Opens a file. Gzip is told by its magic number, not by the name.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let refuse = |error: std::io::Error| Error::input(format!("`{shown}`: can't be read: {error}"));
        let file = std::fs::File::open(path).map_err(refuse)?;
        let metadata = file.metadata().map_err(refuse)?;
        if !metadata.is_file() {
            return Err(Error::input(format!("`{shown}`: is not a file")));
        }
        Self::new(shown.clone(), BufReader::with_capacity(1 << 16, file), metadata.len())
    }

    /// Reads from `reader`, which holds `length` stored bytes, under the name `name` in errors.
    pub(super) fn new(name: String, mut reader: impl BufRead + 'static, length: u64) -> Result<Self> {
        let start = reader.fill_buf().map_err(|error| Error::input(format!("`{name}`: can't be read: {error}")))?;
        let gzip = start.starts_with(&[GZIP, 0x8b]);
        let at_most = if gzip { length.saturating_mul(DEFLATE_LIMIT) } else { length };
        let reader: Box<dyn Read> = if gzip { Box::new(Members::new(reader)) } else { Box::new(reader) };
        Ok(Self { name, reader, offset: 0, gzip, at_most })
    }

    /// An error at byte `offset` of this file.
    pub(super) fn error_at(&self, offset: u64, reason: impl std::fmt::Display) -> Error {
        let unpacked = if self.gzip { " (decompressed)" } else { "" };
        Error::input(format!("`{}`, byte {offset}{unpacked}: {reason}", self.name))
    }

    /// How many (decompressed) bytes were read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `N` bytes; `what` names them in the error of a file that ends too early.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        let got = self.fill(&mut bytes)?;
        if got < N {
            return Err(self.truncated(what, N as u64, got as u64));
        }
        Ok(bytes)
    }

    /// The next `length` bytes. Memory is taken as they arrive, so a false `length` costs nothing.
    pub(super) fn bytes(&mut self, length: u64, what: &str) -> Result<Vec<u8>> {
        let left = self.at_most.saturating_sub(self.offset);
        if length > left {
            return Err(self.truncated(what, length, left));
        }
        let start = self.offset;
        let mut bytes = Vec::new();
        let result = self.reader.by_ref().take(length).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        result.map_err(|error| self.unreadable(&error))?;
        if (bytes.len() as u64) < length {
            self.offset = start;
            return Err(self.truncated(what, length, bytes.len() as u64));
        }
        Ok(bytes)
    }

    /// Fills `buffer` as far as the file goes, and says how far.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut got = 0;
        while got < buffer.len() {
            match self.reader.read(&mut buffer[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.offset += got as u64;
                    return Err(self.unreadable(&error));
                }
            }
        }
        self.offset += got as u64;
        Ok(got)
    }

    /// Fails unless the file ends here. For gzip this also checks the length and checksum at its end.
    pub(super) fn end(&mut self, what: &str) -> Result<()> {
        let at = self.offset;
        match self.fill(&mut [0])? {
            0 => Ok(()),
            _ => Err(self.error_at(at, format!("the file goes on after {what}, where it should end"))),
        }
    }

    fn truncated(&self, what: &str, wanted: u64, left: u64) -> Error {
        let bound = if self.gzip && left > 0 { "at most " } else { "" };
        self.error_at(
            self.offset,
            format!("{what} should have {wanted} bytes from here, but {bound}{left} are left: the file is truncated"),
        )
    }

    fn unreadable(&self, error: &std::io::Error) -> Error {
        match error.kind() {
            ErrorKind::UnexpectedEof if self.gzip => self.error_at(self.offset, "the gzip stream is truncated"),
            _ if self.gzip => self.error_at(self.offset, format!("the gzip stream is damaged: {error}")),
            _ => self.error_at(self.offset, format!("can't be read: {error}")),
        }
    }
}

/// The contents of a gzip file: of one stream, or of several one after the other, and nothing else. (flate2's own reader of
/// several takes what follows the last one for a stream that is cut off.)
struct Members<R> {
    /// `None` once all was read.
    current: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(reader: R) -> Self {
        Self { current: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.current {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match member.get_mut().fill_buf()?.first() {
                None => self.current = None,
                Some(&GZIP) => self.current = self.current.take().map(|member| GzDecoder::new(member.into_inner())),
                Some(_) => return Err(std::io::Error::new(ErrorKind::InvalidData, "other bytes follow its end")),
            }
        }
        Ok(0)
    }
}
