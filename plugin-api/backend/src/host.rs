//! What the host offers to an instance, and how one run is to be executed.

use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};

use crate::abi;
use crate::dlpack::DLDevice;
use crate::{Error, Result};

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

impl Level {
    /// The level of a number that came over the ABI; unknown ones count as `Debug`.
    pub fn from_code(code: c_int) -> Self {
        match code {
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// The host's services; an instance may keep them as long as it lives.
#[derive(Clone, Debug)]
pub struct Host {
    ctx: *mut c_void,
    log: Option<abi::LogFn>,
    cancelled: Option<abi::CancelledFn>,
    plugin_dir: PathBuf,
    max_threads: usize,
    device: DLDevice,
}

// SAFETY: the header lets `log` and `cancelled` be called with `ctx` from any thread until destroy returns.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Copies what the host gave.
    ///
    /// # Safety
    /// `raw` points to an [`abi::Host`] that keeps the promises of the header until the instance is destroyed.
    pub(crate) unsafe fn from_raw(raw: *const abi::Host) -> Result<Self> {
        if raw.is_null() {
            return Err(Error::invalid("the host gave no limbeck_host"));
        }
        // SAFETY: not NULL; a host of any minor gives at least the two fields of this read.
        let size = unsafe { (*raw).struct_size } as usize;
        if size < size_of::<abi::Host>() {
            return Err(Error::invalid(format!("limbeck_host has {size} bytes, version 1.0 needs more")));
        }
        // SAFETY: `struct_size` says that every field of version 1.0 is there.
        let raw = unsafe { *raw };
        // SAFETY: the host keeps the string alive; it is copied here.
        let folder = unsafe { raw.plugin_dir.bytes() }.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let folder = folder.ok_or_else(|| Error::invalid("plugin_dir is not UTF-8"))?;
        Ok(Self {
            ctx: raw.ctx,
            log: raw.log,
            cancelled: raw.cancelled,
            plugin_dir: folder.into(),
            max_threads: raw.max_threads.max(1) as usize,
            device: raw.device,
        })
    }

    /// A host without log that never cancels, for a backend's own unit tests.
    pub fn for_tests(plugin_dir: &Path) -> Self {
        let ctx = std::ptr::null_mut();
        Self { ctx, log: None, cancelled: None, plugin_dir: plugin_dir.into(), max_threads: 1, device: DLDevice::CPU }
    }

    /// Sends one line to the run's log.
    pub fn log(&self, level: Level, message: &str) {
        if let Some(log) = self.log {
            // SAFETY: function and context come from the same host and are valid until destroy.
            unsafe { log(self.ctx, level as c_int, abi::Str::borrow(message)) }
        }
    }

    /// Whether the run is being stopped; long work should then return [`Error::cancelled`].
    pub fn cancelled(&self) -> bool {
        // SAFETY: as in `log`.
        self.cancelled.is_some_and(|cancelled| unsafe { cancelled(self.ctx) } != 0)
    }

    /// The folder of the plugin's file: where to look for what lies beside it.
    pub fn plugin_dir(&self) -> &Path {
        &self.plugin_dir
    }

    /// How many threads the instance may keep busy, at least 1.
    pub fn max_threads(&self) -> usize {
        self.max_threads
    }

    /// Where the tensors of every run will be.
    pub fn device(&self) -> DLDevice {
        self.device
    }
}

/// How to execute one run.
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    /// Where every tensor of this run is.
    pub device: DLDevice,
    /// On CUDA the `CUstream` of the device's primary context that the work goes onto, never one of the special handles 0, 1
    /// and 2; NULL on the CPU.
    pub stream: *mut c_void,
}

impl Exec {
    /// # Safety
    /// `raw` is NULL or points to an [`abi::Exec`] of the size that its first field says.
    pub(crate) unsafe fn from_raw(raw: *const abi::Exec) -> Result<Self> {
        if raw.is_null() {
            return Err(Error::invalid("the host gave no limbeck_exec"));
        }
        // SAFETY: not NULL; the first field is always there.
        let size = unsafe { (*raw).struct_size } as usize;
        if size < size_of::<abi::Exec>() {
            return Err(Error::invalid(format!("limbeck_exec has {size} bytes, version 1.0 needs more")));
        }
        // SAFETY: `struct_size` says that every field of version 1.0 is there.
        let raw = unsafe { *raw };
        if raw.device.device_type == crate::dlpack::CUDA && (raw.stream as usize) < 3 {
            return Err(Error::invalid(format!(
                "stream handle {} names a different stream on each thread: the host must pass one that it made itself",
                raw.stream as usize
            )));
        }
        Ok(Self { device: raw.device, stream: raw.stream })
    }
}
