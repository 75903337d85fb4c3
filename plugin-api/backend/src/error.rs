//! Why a backend could not do what it was asked.

use std::ffi::c_int;

use crate::abi;

/// The result of a backend's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A message for the user, and the status code that crosses the ABI with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub(crate) code: c_int,
    pub(crate) message: String,
}

impl Error {
    /// The call failed. `message` names the thing and the remedy, without a full stop at the end.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: abi::FAILED, message: message.into() }
    }

    /// The backend does not have this operation, size or output.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { code: abi::UNSUPPORTED, message: message.into() }
    }

    /// The host gave something that the ABI does not allow.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: abi::INVALID, message: message.into() }
    }

    /// [`crate::Host::cancelled`] said to stop.
    pub fn cancelled() -> Self {
        Self { code: abi::CANCELLED, message: "cancelled".into() }
    }

    pub fn message(&self) -> &str {
        &self.message
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}
