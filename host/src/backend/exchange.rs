//! Candle's tensors as DLPack tensors and back, without copying an element.

use std::ffi::c_void;

use candle_core::{CpuStorage, DType, Device, Storage, StorageRef, Tensor};
use limbeck_backend::abi;
use limbeck_backend::dlpack::{DLDataType, DLDevice, DLTensor};

#[cfg(feature = "cuda")]
use super::cuda;
use crate::{Error, Result};

/// A device in DLPack's words, with the stream that work goes onto.
pub(super) struct Place {
    device: DLDevice,
    /// The CUDA stream's handle; 0 on the CPU.
    stream: usize,
}

impl Place {
    /// Fails on devices that the ABI does not know, and on CUDA devices whose stream is a special handle.
    pub(super) fn of(device: &Device) -> Result<Self> {
        match device {
            Device::Cpu => Ok(Self { device: DLDevice::CPU, stream: 0 }),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                let (device, stream) = cuda::place(device);
                if stream < 3 {
                    return Err(Error::failed(format!(
                        "CUDA stream handle {stream} names another stream on each thread: \
                         make the device with `CudaDevice::new_with_stream`"
                    )));
                }
                Ok(Self { device, stream })
            }
            other => Err(Error::failed(format!("plugins can't work on {:?}", other.location()))),
        }
    }

    pub(super) fn device(&self) -> DLDevice {
        self.device
    }

    pub(super) fn exec(&self) -> abi::Exec {
        abi::Exec {
            struct_size: size_of::<abi::Exec>() as u32,
            reserved: 0,
            device: self.device,
            stream: std::ptr::without_provenance_mut(self.stream),
            flags: 0,
        }
    }
}

/// Shape and strides as DLPack wants them: one allocation whose address stays.
struct Geometry(Box<[i64]>);

impl Geometry {
    /// Row-major strides without gaps.
    fn compact(shape: &[usize]) -> Self {
        let dims = shape.iter().map(|&dim| dim as i64);
        let strides = (0..shape.len()).map(|at| shape[at + 1..].iter().product::<usize>() as i64);
        Self(dims.chain(strides).collect())
    }

    fn tensor(&mut self, data: *mut c_void, dtype: DLDataType, device: DLDevice) -> DLTensor {
        let ndim = self.0.len() / 2;
        let (shape, strides) = self.0.split_at_mut(ndim);
        let (shape, strides) = (shape.as_mut_ptr(), strides.as_mut_ptr());
        DLTensor { data, device, ndim: ndim as i32, dtype, shape, strides, byte_offset: 0 }
    }
}

/// Tensors lent to a plugin to read.
pub(super) struct Inputs<'a> {
    tensors: Vec<DLTensor>,
    _geometry: Vec<Geometry>,
    /// As long as these live, candle does not write into the memory.
    _storage: Vec<StorageRef<'a>>,
}

// SAFETY: shared references give the plugin read access to memory that the storage guards keep alive and unwritten.
unsafe impl Sync for Inputs<'_> {}

impl<'a> Inputs<'a> {
    /// Lends compact f32 or i64 tensors that are all on `place`.
    pub(super) fn lend(tensors: &[&'a Tensor], place: &Place) -> Result<Self> {
        let mut lent = Self { tensors: Vec::new(), _geometry: Vec::new(), _storage: Vec::new() };
        for tensor in tensors {
            let dtype = match tensor.dtype() {
                DType::F32 => DLDataType::F32,
                DType::I64 => DLDataType::I64,
                other => return Err(Error::failed(format!("plugins take f32 and i64 tensors, not {other:?}"))),
            };
            let (storage, layout) = tensor.storage_and_layout();
            if !layout.is_contiguous() || Place::of(tensor.device())?.device != place.device {
                return Err(Error::failed(format!(
                    "a tensor for a plugin must be compact and on {}, this one has shape {:?}, strides {:?}, on {:?}",
                    place.device.name(),
                    layout.dims(),
                    layout.stride(),
                    tensor.device().location()
                )));
            }
            let mut geometry = Geometry::compact(layout.dims());
            let data = address(&storage, layout.start_offset())?;
            lent.tensors.push(geometry.tensor(data, dtype, place.device));
            lent._geometry.push(geometry);
            lent._storage.push(storage);
        }
        Ok(lent)
    }

    pub(super) fn tensors(&self) -> &[DLTensor] {
        &self.tensors
    }
}

/// Where element `offset` of a storage is.
fn address(storage: &Storage, offset: usize) -> Result<*mut c_void> {
    let beyond = || Error::failed("a tensor's layout leads beyond its memory");
    match storage {
        Storage::Cpu(CpuStorage::F32(values)) => {
            Ok(values.get(offset..).ok_or_else(beyond)?.as_ptr().cast_mut().cast())
        }
        Storage::Cpu(CpuStorage::I64(values)) => {
            Ok(values.get(offset..).ok_or_else(beyond)?.as_ptr().cast_mut().cast())
        }
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => cuda::address(storage, offset),
        _ => Err(Error::failed("a tensor for a plugin is of a type or on a device that no plugin takes")),
    }
}

/// f32 tensors for a plugin to fill, all NaN before.
pub(super) struct Outputs {
    tensors: Vec<DLTensor>,
    _geometry: Vec<Geometry>,
    buffers: Vec<Buffer>,
    shapes: Vec<Vec<usize>>,
    margin: usize,
}

/// What no arithmetic gives: a NaN with a mark, before and behind outputs that are watched.
const MARK: u32 = 0x7fc0_beef;

// SAFETY: the pointers lead into the buffers of the same value, which nothing else uses until it is taken apart.
unsafe impl Send for Outputs {}

enum Buffer {
    Cpu(Vec<f32>),
    #[cfg(feature = "cuda")]
    Cuda(cuda::Buffer),
}

impl Outputs {
    pub(super) fn allocate(shapes: &[Vec<usize>], device: &Device, place: &Place) -> Result<Self> {
        Self::with_margin(shapes, device, place, 0)
    }

    /// On the CPU with `margin` elements before and behind each output, which [`Self::margins_intact`] looks at.
    pub(super) fn with_margin(shapes: &[Vec<usize>], device: &Device, place: &Place, margin: usize) -> Result<Self> {
        let (tensors, buffers) = (Vec::new(), Vec::new());
        let mut made = Self { tensors, _geometry: Vec::new(), buffers, shapes: shapes.to_vec(), margin };
        for shape in shapes {
            let elements: usize = shape.iter().product();
            let (buffer, data) = match device {
                #[cfg(feature = "cuda")]
                Device::Cuda(device) => {
                    let (buffer, data) = cuda::Buffer::allocate(device, elements)?;
                    (Buffer::Cuda(buffer), data)
                }
                _ => {
                    let mut values = vec![f32::NAN; elements + 2 * margin];
                    values[..margin].fill(f32::from_bits(MARK));
                    values[margin + elements..].fill(f32::from_bits(MARK));
                    let data = values[margin..].as_mut_ptr().cast();
                    (Buffer::Cpu(values), data)
                }
            };
            let mut geometry = Geometry::compact(shape);
            made.tensors.push(geometry.tensor(data, DLDataType::F32, place.device));
            made._geometry.push(geometry);
            made.buffers.push(buffer);
        }
        Ok(made)
    }

    pub(super) fn tensors_mut(&mut self) -> &mut [DLTensor] {
        &mut self.tensors
    }

    /// Whether nothing was written before or behind an output.
    pub(super) fn margins_intact(&self) -> bool {
        let intact = |values: &[f32]| values.iter().all(|value| value.to_bits() == MARK);
        self.buffers.iter().all(|buffer| match buffer {
            Buffer::Cpu(values) => intact(&values[..self.margin]) && intact(&values[values.len() - self.margin..]),
            #[cfg(feature = "cuda")]
            Buffer::Cuda(_) => true,
        })
    }

    /// The filled memory as candle's tensors. What the plugin did to the DLPack structs themselves is ignored.
    pub(super) fn into_tensors(self) -> Result<Vec<Tensor>> {
        let filled = self.buffers.into_iter().zip(self.shapes);
        let tensors = filled.map(|(buffer, shape)| match buffer {
            Buffer::Cpu(mut values) => {
                values.truncate(values.len() - self.margin);
                values.drain(..self.margin);
                Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
            }
            #[cfg(feature = "cuda")]
            Buffer::Cuda(buffer) => Ok(buffer.into_tensor(shape)),
        });
        tensors.collect()
    }
}
