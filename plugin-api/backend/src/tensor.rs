//! Tensors that the host lends for one run, checked before a backend sees them.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::abi::MAX_DIMS;
use crate::dlpack::{self, DLDataType, DLDevice, DLTensor};
use crate::{Error, Result};

/// What the two kinds of lent tensor have in common: compact, row-major, aligned, not NULL unless empty.
#[derive(Clone, Debug)]
struct Lent {
    shape: Vec<usize>,
    dtype: DLDataType,
    device: DLDevice,
    data: *mut c_void,
    elements: usize,
}

impl Lent {
    /// # Safety
    /// `raw.shape`, and `raw.strides` if not NULL, are readable for `raw.ndim` numbers.
    unsafe fn check(raw: &DLTensor, what: &str, with_data: bool) -> Result<Self> {
        let bad = |why: String| Error::invalid(format!("{what}: {why}"));
        let ndim = usize::try_from(raw.ndim).ok().filter(|&ndim| ndim <= MAX_DIMS);
        let ndim = ndim.ok_or_else(|| bad(format!("{} dimensions, at most {MAX_DIMS} are allowed", raw.ndim)))?;
        if ndim > 0 && raw.shape.is_null() {
            return Err(bad("its shape is NULL".into()));
        }
        // SAFETY: readable by the caller's promise; the pointer is replaced where a slice of length 0 may have NULL.
        let dims = if ndim == 0 { &[] } else { unsafe { std::slice::from_raw_parts(raw.shape, ndim) } };
        let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.ok_or_else(|| bad(format!("shape {dims:?} has a negative dimension")))?;
        let elements = shape.iter().try_fold(1usize, |total, &dim| total.checked_mul(dim));
        let bytes_each = usize::from(raw.dtype.bits).div_ceil(8);
        let bytes = elements.and_then(|n| n.checked_mul(bytes_each)).filter(|&bytes| bytes <= isize::MAX as usize);
        let (Some(elements), Some(bytes)) = (elements, bytes) else {
            return Err(bad(format!("shape {shape:?} is larger than memory")));
        };
        if raw.dtype.lanes != 1 || !raw.dtype.bits.is_multiple_of(8) || raw.dtype.bits == 0 {
            return Err(bad(format!("type {} is not used by this ABI", raw.dtype.name())));
        }
        if !raw.strides.is_null() && ndim > 0 {
            // SAFETY: readable by the caller's promise.
            compact(&shape, unsafe { std::slice::from_raw_parts(raw.strides, ndim) }).map_err(bad)?;
        }
        let data = match (with_data, elements) {
            (false, _) | (_, 0) => std::ptr::null_mut(),
            _ if raw.data.is_null() => return Err(bad("its data is NULL".into())),
            _ => raw.data.wrapping_byte_add(raw.byte_offset as usize),
        };
        let start = (raw.data.addr() as u64).checked_add(raw.byte_offset);
        if with_data && start.and_then(|start| start.checked_add(bytes as u64)).is_none() {
            return Err(bad(format!("byte offset {} leads beyond all memory", raw.byte_offset)));
        }
        if data.addr() % bytes_each != 0 {
            return Err(bad(format!("its data isn't aligned to {bytes_each} bytes")));
        }
        Ok(Self { shape, dtype: raw.dtype, device: raw.device, data, elements })
    }

    fn on_cpu(&self, dtype: DLDataType) -> Result<()> {
        if self.device.device_type != dlpack::CPU {
            return Err(Error::unsupported(format!("a tensor on {} was asked for on the CPU", self.device.name())));
        }
        if self.dtype != dtype {
            return Err(Error::invalid(format!("expected type {}, got {}", dtype.name(), self.dtype.name())));
        }
        Ok(())
    }
}

/// Row-major without gaps. The stride of a dimension of size 1 never matters.
fn compact(shape: &[usize], strides: &[i64]) -> std::result::Result<(), String> {
    let mut expected = 1usize;
    for (&dim, &stride) in shape.iter().zip(strides).rev() {
        if dim > 1 && usize::try_from(stride) != Ok(expected) {
            return Err(format!("strides {strides:?} of shape {shape:?} are not compact and row-major"));
        }
        expected = expected.saturating_mul(dim.max(1));
    }
    Ok(())
}

/// A tensor to read, valid during one call.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    lent: Lent,
    _call: PhantomData<&'a [u8]>,
}

impl<'a> Input<'a> {
    /// # Safety
    /// `raw` keeps the promises of the header throughout `'a`; its data only if `with_data`.
    pub(crate) unsafe fn from_raw(raw: &'a DLTensor, what: &str, with_data: bool) -> Result<Self> {
        // SAFETY: the same promise.
        Ok(Self { lent: unsafe { Lent::check(raw, what, with_data) }?, _call: PhantomData })
    }

    pub fn shape(&self) -> &[usize] {
        &self.lent.shape
    }

    pub fn dtype(&self) -> DLDataType {
        self.lent.dtype
    }

    pub fn device(&self) -> DLDevice {
        self.lent.device
    }

    /// The first element, in the memory of [`Self::device`].
    pub fn data(&self) -> *const c_void {
        self.lent.data
    }

    /// All elements in row-major order. Fails unless they are f32 on the CPU.
    pub fn f32s(&self) -> Result<&'a [f32]> {
        self.elements(DLDataType::F32)
    }

    /// All elements in row-major order. Fails unless they are i64 on the CPU.
    pub fn i64s(&self) -> Result<&'a [i64]> {
        self.elements(DLDataType::I64)
    }

    fn elements<T>(&self, dtype: DLDataType) -> Result<&'a [T]> {
        self.lent.on_cpu(dtype)?;
        if self.lent.data.is_null() {
            return Ok(&[]);
        }
        // SAFETY: checked to be of this type, aligned, not NULL and no longer than memory; the host keeps it alive and
        // unwritten during the call.
        Ok(unsafe { std::slice::from_raw_parts(self.lent.data.cast(), self.lent.elements) })
    }
}

/// A tensor to fill, valid during one call. What is left unwritten reaches the host as NaN, which it refuses.
#[derive(Debug)]
pub struct Output<'a> {
    lent: Lent,
    _call: PhantomData<&'a mut [u8]>,
}

impl<'a> Output<'a> {
    /// # Safety
    /// `raw` keeps the promises of the header throughout `'a`, and nothing else reads or writes its data meanwhile.
    pub(crate) unsafe fn from_raw(raw: &'a DLTensor, what: &str) -> Result<Self> {
        // SAFETY: the same promise.
        Ok(Self { lent: unsafe { Lent::check(raw, what, true) }?, _call: PhantomData })
    }

    pub fn shape(&self) -> &[usize] {
        &self.lent.shape
    }

    pub fn device(&self) -> DLDevice {
        self.lent.device
    }

    /// The first element, in the memory of [`Self::device`].
    pub fn data_mut(&mut self) -> *mut c_void {
        self.lent.data
    }

    /// All elements in row-major order. Fails unless they are f32 on the CPU.
    pub fn f32s(&mut self) -> Result<&mut [f32]> {
        self.lent.on_cpu(DLDataType::F32)?;
        if self.lent.data.is_null() {
            return Ok(&mut []);
        }
        // SAFETY: as for inputs, and `&mut self` with the host's promise makes this the only access.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.lent.data.cast(), self.lent.elements) })
    }

    /// Copies `values` into the tensor. Fails unless there are exactly as many, f32 and on the CPU.
    pub fn copy_from(&mut self, values: &[f32]) -> Result<()> {
        let shape = self.lent.shape.clone();
        let out = self.f32s()?;
        if out.len() != values.len() {
            return Err(Error::new(format!("{} values for an output of shape {shape:?}", values.len())));
        }
        out.copy_from_slice(values);
        Ok(())
    }
}
