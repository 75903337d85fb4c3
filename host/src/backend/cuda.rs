//! The CUDA half of the exchange: device pointers and the stream handle. Plugins and candle share the device's primary
//! context, so a pointer of one is valid in the other.
//!
//! All work goes onto the tensor's own stream, which orders the plugin's reads and writes against candle's.

use std::ffi::c_void;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, DevicePtrMut, result};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Storage, Tensor};
use limbeck_backend::dlpack::{CUDA, DLDevice};

use crate::{Error, Result};

/// The device in DLPack's words, and the handle of its stream.
pub(super) fn place(device: &CudaDevice) -> (DLDevice, usize) {
    let stream = device.cuda_stream();
    let device_id = stream.context().ordinal() as i32;
    (DLDevice { device_type: CUDA, device_id }, stream.cu_stream().addr())
}

/// Where element `offset` of a storage is on the device.
pub(super) fn address(storage: &CudaStorage, offset: usize) -> Result<*mut c_void> {
    let stream = storage.device().cuda_stream();
    let (start, bytes_each) = match storage.dtype() {
        DType::F32 => (storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0, 4),
        DType::I64 => (storage.as_cuda_slice::<i64>()?.device_ptr(&stream).0, 8),
        other => return Err(Error::failed(format!("plugins take f32 and i64 tensors, not {other:?}"))),
    };
    Ok(std::ptr::without_provenance_mut(start as usize + offset * bytes_each))
}

/// f32 memory on the device for a plugin to fill.
pub(super) struct Buffer {
    slice: CudaSlice<f32>,
    device: CudaDevice,
}

impl Buffer {
    /// All NaN.
    pub(super) fn allocate(device: &CudaDevice, elements: usize) -> Result<(Self, *mut c_void)> {
        let stream = device.cuda_stream();
        // SAFETY: nothing reads the memory before it is filled below, on the stream on which it is allocated.
        let mut slice = unsafe { device.alloc::<f32>(elements) }?;
        let (start, guard) = slice.device_ptr_mut(&stream);
        // SAFETY: the memory was allocated just now on this stream with this size. Four bytes 0xff are a NaN.
        unsafe { result::memset_d8_async(start, 0xff, elements * size_of::<f32>(), stream.cu_stream()) }
            .map_err(|why| Error::failed(format!("CUDA: {why}")))?;
        drop(guard);
        Ok((Self { slice, device: device.clone() }, std::ptr::without_provenance_mut(start as usize)))
    }

    pub(super) fn into_tensor(self, shape: Vec<usize>) -> Tensor {
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(self.slice, self.device));
        Tensor::from_storage(storage, shape, BackpropOp::none(), false)
    }
}
