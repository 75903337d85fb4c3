//! The C ABI, version 1.0, field for field as in `include/limbeck_backend.h`, where every field is explained.
//!
//! **Invariant:** published structs only grow at their end, and `struct_size` says how far their maker knew them.

use std::ffi::{c_int, c_void};

use crate::dlpack::{DLDataType, DLDevice, DLTensor};

pub const MAJOR: u32 = 1;
pub const MINOR: u32 = 0;
pub const MAX_DIMS: usize = 8;
/// The one symbol that a plugin exports.
pub const QUERY_SYMBOL: &str = "limbeck_backend_query_v1";

pub const OK: c_int = 0;
pub const FAILED: c_int = 1;
pub const UNSUPPORTED: c_int = 2;
pub const INVALID: c_int = 3;
pub const CANCELLED: c_int = 4;
pub const POISONED: c_int = 5;

pub const OP_CLASSIFY: u32 = 1;
pub const OP_DENOISE: u32 = 2;
pub const OP_VJP: u32 = 3;

/// UTF-8 with a length, without a closing NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    pub ptr: *const u8,
    pub len: usize,
}

impl Str {
    pub const EMPTY: Self = Self { ptr: std::ptr::null(), len: 0 };

    /// Borrows `text`; the caller keeps it alive as long as the header promises.
    pub const fn borrow(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// The bytes, or `None` for NULL or a length that no memory has. An empty string may have any pointer.
    ///
    /// # Safety
    /// A pointer that is not NULL must be readable for `len` bytes throughout `'a`.
    pub unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        if self.len == 0 {
            return Some(&[]);
        }
        if self.ptr.is_null() || self.len > isize::MAX as usize {
            return None;
        }
        // SAFETY: not NULL, a possible length, and readable by the caller's promise.
        Some(unsafe { std::slice::from_raw_parts(self.ptr, self.len) })
    }
}

pub type LogFn = unsafe extern "C" fn(ctx: *mut c_void, level: c_int, message: Str);
pub type CancelledFn = unsafe extern "C" fn(ctx: *mut c_void) -> c_int;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Host {
    pub struct_size: u32,
    pub abi_minor: u32,
    pub ctx: *mut c_void,
    pub log: Option<LogFn>,
    pub cancelled: Option<CancelledFn>,
    pub plugin_dir: Str,
    pub max_threads: u32,
    pub reserved: u32,
    pub device: DLDevice,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    pub struct_size: u32,
    pub reserved: u32,
    pub device: DLDevice,
    pub stream: *mut c_void,
    pub flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub ndim: i32,
    pub dtype: DLDataType,
    pub dims: [i64; MAX_DIMS],
}

pub type CreateFn = unsafe extern "C" fn(host: *const Host, config_json: Str, instance: *mut *mut c_void) -> c_int;
pub type DestroyFn = unsafe extern "C" fn(instance: *mut c_void);
pub type DescribeFn = unsafe extern "C" fn(instance: *mut c_void, json: *mut Str) -> c_int;
pub type ShapesFn = unsafe extern "C" fn(
    instance: *mut c_void,
    op: u32,
    inputs: *const DLTensor,
    n_inputs: usize,
    outputs: *mut Shape,
    n_outputs: usize,
) -> c_int;
pub type RunFn = unsafe extern "C" fn(
    instance: *mut c_void,
    op: u32,
    exec: *const Exec,
    inputs: *const DLTensor,
    n_inputs: usize,
    outputs: *mut DLTensor,
    n_outputs: usize,
) -> c_int;
pub type LastErrorFn = unsafe extern "C" fn(instance: *mut c_void) -> Str;
pub type QueryFn = unsafe extern "C" fn(host_minor: u32, out: *mut *const Backend) -> i32;

/// A plugin's table. A function that is NULL is one the plugin does not have; version 1.0 requires them all.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    pub struct_size: u32,
    pub abi_minor: u32,
    pub manifest_json: Str,
    pub create: Option<CreateFn>,
    pub destroy: Option<DestroyFn>,
    pub describe: Option<DescribeFn>,
    pub shapes: Option<ShapesFn>,
    pub run: Option<RunFn>,
    pub last_error: Option<LastErrorFn>,
}

// SAFETY: a table is never written after it is published, and the string it points to lives as long as the process.
unsafe impl Send for Backend {}
// SAFETY: as above: shared reads only.
unsafe impl Sync for Backend {}
