//! Reading bytes with every bound checked.

use super::Fault;

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or("it ends too early, it is cut off: copy or download it again")?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes as they are, for a number of `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    /// Up to a line feed, which is left out.
    pub fn line(&mut self) -> Result<&'a str, Fault> {
        let end = self
            .rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or("it ends within a line, it is cut off: copy or download it again")?;
        let line = self.take(end)?;
        self.take(1)?;
        text(line)
    }

    /// `count` bytes of UTF-8.
    pub fn text(&mut self, count: usize) -> Result<&'a str, Fault> {
        text(self.take(count)?)
    }
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| "a string in it is not UTF-8".into())
}

/// A length or position as the platform has it.
pub(super) fn size(number: impl TryInto<usize>) -> Result<usize, Fault> {
    number.try_into().map_err(|_| "a size in it is negative or too large for this machine".into())
}
