//! Where an instance works, and how tensors come there: out of the memory that the host lends into candle's own, and back.
//!
//! The ABI copies nothing, but candle owns its memory: each tensor is copied once within its device.

use candle_core::{Device, Tensor};
use limbeck_backend::dlpack::{CPU, DLDataType};
use limbeck_backend::{Error, Exec, Host, Input, Output, Result};

#[cfg(feature = "cuda")]
use crate::cuda;
use crate::shown;

/// What the manifests of this build's backends list.
pub(crate) fn devices() -> Vec<String> {
    let cuda = cfg!(feature = "cuda").then_some("cuda");
    std::iter::once("cpu").chain(cuda).map(str::to_owned).collect()
}

/// The device of an instance, and threads of its own, so that the host's budget holds whatever candle's defaults are.
pub(crate) struct Place {
    device: Device,
    pool: rayon::ThreadPool,
}

impl Place {
    /// Where `host` wants the instance; its threads are named after `role`.
    pub(crate) fn new(host: &Host, role: &'static str) -> Result<Self> {
        let device = match host.device() {
            device if device.device_type == CPU => Device::Cpu,
            #[cfg(feature = "cuda")]
            device if device.device_type == limbeck_backend::dlpack::CUDA => cuda::open(device)?,
            other => {
                return Err(Error::unsupported(format!(
                    "it works on {}, not on {}",
                    devices().join(" and "),
                    other.name()
                )));
            }
        };
        let threads = host.max_threads();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.thread_name(move |index| format!("{role}-{index}")).build();
        let pool = pool.map_err(|error| Error::new(format!("can't start {threads} threads: {error}")))?;
        Ok(Self { device, pool })
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Runs `work` on the instance's threads.
    pub(crate) fn work<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Begins a call of the host's.
    pub(crate) fn begin(&self, exec: &Exec) -> Result<Turn<'_>> {
        #[cfg(feature = "cuda")]
        let order = match &self.device {
            Device::Cuda(device) => Some(cuda::Order::new(device, exec)?),
            _ => None,
        };
        #[cfg(not(feature = "cuda"))]
        let _ = exec;
        Ok(Turn {
            device: &self.device,
            #[cfg(feature = "cuda")]
            _order: order,
        })
    }
}

/// One call: while it lasts, tensors can be read from the host and written to it.
pub(crate) struct Turn<'a> {
    device: &'a Device,
    /// At the end the host's stream waits for ours.
    #[cfg(feature = "cuda")]
    _order: Option<cuda::Order>,
}

impl Turn<'_> {
    /// A copy of what the host lends.
    pub(crate) fn read(&self, input: &Input<'_>) -> Result<Tensor> {
        let read = match self.device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => return cuda::read(device, input),
            device if input.dtype() == DLDataType::I64 => Tensor::from_slice(input.i64s()?, input.shape(), device),
            device => Tensor::from_slice(input.f32s()?, input.shape(), device),
        };
        read.map_err(shown)
    }

    /// Fills an output with a tensor of its shape.
    pub(crate) fn write(&self, tensor: &Tensor, output: &mut Output<'_>) -> Result<()> {
        if tensor.dims() != output.shape() {
            let (found, wanted) = (tensor.dims(), output.shape());
            return Err(Error::new(format!("the network gave {found:?} for an output of shape {wanted:?}")));
        }
        match self.device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => cuda::write(device, tensor, output),
            _ => output.copy_from(&tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(shown)?),
        }
    }
}
