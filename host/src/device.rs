//! Where tensors live: `cpu` or `cuda:N`.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::{Error, Result};

/// A device by name; opening it comes later, so that a wrong name is refused before any work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceName {
    #[default]
    Cpu,
    /// The CUDA device of this number, counted from 0.
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        match (text, number) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err("a device is `cpu`, `cuda` or `cuda:N`".into()),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceName {
    /// Opens the device. A CUDA device gets a stream of its own, because plugins must be told one by name.
    /// Fails with [`Error::Input`] where there is no such device, or no support for it in this build.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => open_cuda(number),
        }
    }
}

/// Whether this build can use CUDA devices.
pub fn cuda_built_in() -> bool {
    cfg!(feature = "cuda")
}

#[cfg(feature = "cuda")]
fn open_cuda(number: usize) -> Result<Device> {
    let opened = candle_core::CudaDevice::new_with_stream(number);
    opened.map(Device::Cuda).map_err(|error| {
        Error::input(format!(
            "device `cuda:{number}` can't be opened: {}: try another, or --device cpu",
            Error::from(error)
        ))
    })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(number: usize) -> Result<Device> {
    Err(Error::input(format!(
        "device `cuda:{number}`: this limbeck was built without CUDA: build it with `--features cuda`, or use --device cpu"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for (text, device) in [("cpu", DeviceName::Cpu), ("cuda:3", DeviceName::Cuda(3))] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            wrong.parse::<DeviceName>().unwrap_err();
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_build_without_cuda_says_so() {
        assert_eq!(DeviceName::Cuda(0).open().unwrap_err().exit_code(), 2);
    }
}
