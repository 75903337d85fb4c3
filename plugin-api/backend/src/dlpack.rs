//! The part of DLPack 1.x that the ABI uses, field for field as in `dlpack.h`.

use std::ffi::c_void;

/// `DLDevice.device_type` of memory that the processor reads.
pub const CPU: i32 = 1;
/// `DLDevice.device_type` of an NVIDIA GPU's memory.
pub const CUDA: i32 = 2;

/// Where a tensor's memory is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDevice {
    pub device_type: i32,
    pub device_id: i32,
}

impl DLDevice {
    pub const CPU: Self = Self { device_type: CPU, device_id: 0 };

    /// `cpu`, `cuda:N`, or the bare DLPack number of a device that is neither.
    pub fn name(self) -> String {
        match self.device_type {
            CPU => "cpu".into(),
            CUDA => format!("cuda:{}", self.device_id),
            other => format!("DLPack device {other}:{}", self.device_id),
        }
    }
}

/// The type of an element: a kind, a width in bits, and vector lanes (always 1 here).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DLDataType {
    pub code: u8,
    pub bits: u8,
    pub lanes: u16,
}

impl DLDataType {
    pub const F32: Self = Self { code: 2, bits: 32, lanes: 1 };
    pub const I64: Self = Self { code: 0, bits: 64, lanes: 1 };

    /// `f32`, `i64`, and so on.
    pub fn name(self) -> String {
        let kind = match self.code {
            0 => "i",
            1 => "u",
            2 => "f",
            4 => "bf",
            _ => return format!("DLPack type {}:{}", self.code, self.bits),
        };
        if self.lanes == 1 { format!("{kind}{}", self.bits) } else { format!("{kind}{}x{}", self.bits, self.lanes) }
    }
}

/// A borrowed tensor: memory, place, type and shape. Strides are in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DLTensor {
    pub data: *mut c_void,
    pub device: DLDevice,
    pub ndim: i32,
    pub dtype: DLDataType,
    pub shape: *mut i64,
    pub strides: *mut i64,
    pub byte_offset: u64,
}
