//! The CUDA half of [`crate::place`].
//!
//! Host and instance use the device's primary context, so that pointers and streams of one are valid in the other. Candle works
//! on a stream of the instance's own: events put its work behind what is on the host's stream, and what the host does next
//! behind it. Nothing waits on the processor.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, DriverError, result};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Device, Storage, Tensor};
use limbeck_backend::dlpack::{CUDA, DLDataType, DLDevice};
use limbeck_backend::{Error, Exec, Input, Output, Result};

use crate::shown;

pub(crate) fn open(device: DLDevice) -> Result<Device> {
    let number =
        usize::try_from(device.device_id).map_err(|_| Error::invalid(format!("there is no {}", device.name())))?;
    let opened = CudaDevice::new_with_stream(number);
    opened.map(Device::Cuda).map_err(|error| Error::new(format!("{} can't be opened: {}", device.name(), shown(error))))
}

/// While it lives, the work on our stream comes after what was on the host's; when it is dropped, also after a failure or a
/// panic, what the host puts on its stream next comes after ours.
pub(crate) struct Order {
    ours: Arc<CudaStream>,
    hosts: Arc<CudaStream>,
}

impl Order {
    pub(crate) fn new(device: &CudaDevice, exec: &Exec) -> Result<Self> {
        require(device, exec.device, "the run")?;
        let ours = device.cuda_stream();
        // SAFETY: the header promises a stream of the device's primary context, which is ours, for the length of the run; the
        // wrapper, which does not destroy it, lives no longer.
        let hosts = unsafe { ours.context().wrap_borrowed_stream(exec.stream.cast()) };
        ours.join(&hosts).map_err(failed)?;
        Ok(Self { ours, hosts })
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        if self.hosts.join(&self.ours).is_err() {
            // The host may give its memory away as soon as the run is over. If this fails too, so will whatever it does next.
            let _ = self.ours.synchronize();
        }
    }
}

/// A copy of what the host lends, f32 or i64.
pub(crate) fn read(device: &CudaDevice, input: &Input<'_>) -> Result<Tensor> {
    require(device, input.device(), "an input")?;
    if input.dtype() == DLDataType::I64 { copy::<i64>(device, input) } else { copy::<f32>(device, input) }
}

/// `T` is the type of the input's elements.
fn copy<T: CudaDType + DeviceRepr>(device: &CudaDevice, input: &Input<'_>) -> Result<Tensor> {
    let (stream, elements) = (device.cuda_stream(), input.shape().iter().product::<usize>());
    // SAFETY: every element is written below, before anything on this stream can read it.
    let mut slice = unsafe { device.alloc::<T>(elements) }.map_err(shown)?;
    let (to, written) = slice.device_ptr_mut(&stream);
    // SAFETY: the input has as many elements of this type in this device's memory, which stay as they are until the host's
    // stream has passed the run; `to` is new memory of the same size.
    let copied = unsafe { copy_bytes(input.data().addr() as u64, to, elements * size_of::<T>(), &stream) };
    drop(written);
    copied?;
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, device.clone()));
    Ok(Tensor::from_storage(storage, input.shape(), BackpropOp::none(), false))
}

/// Fills an output with an f32 tensor of its shape.
pub(crate) fn write(device: &CudaDevice, tensor: &Tensor, output: &mut Output<'_>) -> Result<()> {
    require(device, output.device(), "an output")?;
    let (stream, elements, tensor) = (device.cuda_stream(), tensor.elem_count(), tensor.contiguous().map_err(shown)?);
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { return Err(Error::new("an answer is not on the instance's device")) };
    require(device, place(storage.device()), "an answer")?;
    let start = layout.start_offset();
    let part = storage.as_cuda_slice::<f32>().map_err(shown)?.slice(start..start + elements);
    let (from, _read) = part.device_ptr(&stream);
    // SAFETY: the part has so many elements, and so does the output, an f32 tensor of the same shape on this device, which the
    // host does not touch until its stream has passed the run.
    unsafe { copy_bytes(from, output.data_mut().addr() as u64, elements * size_of::<f32>(), &stream) }
}

/// Puts a copy within the device onto `stream`.
///
/// # Safety
/// Both addresses lead to that many bytes of memory of the stream's device, which stay valid until the stream has passed this.
unsafe fn copy_bytes(from: u64, to: u64, bytes: usize, stream: &CudaStream) -> Result<()> {
    stream.context().bind_to_thread().map_err(failed)?;
    // SAFETY: by the caller's promise.
    unsafe { result::memcpy_dtod_async(to, from, bytes, stream.cu_stream()) }.map_err(failed)
}

/// The device in DLPack's words.
fn place(device: &CudaDevice) -> DLDevice {
    DLDevice { device_type: CUDA, device_id: device.cuda_stream().context().ordinal() as i32 }
}

/// Fails unless `found` is the instance's device.
fn require(device: &CudaDevice, found: DLDevice, what: &str) -> Result<()> {
    if found == place(device) {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} is on {}, the instance on {}", found.name(), place(device).name())))
}

fn failed(error: DriverError) -> Error {
    Error::new(format!("CUDA: {error}"))
}
