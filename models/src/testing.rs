//! The devices on which a test runs its one body.

use candle_core::Device;

/// The first CUDA device, where the build has CUDA and the machine a device.
///
/// # Panics
/// If there is none and `LIMBECK_REQUIRE_CUDA` is set: where a GPU is to be tested, no test may pass without it.
pub fn cuda() -> Option<Device> {
    let device = Device::new_cuda(0);
    match (std::env::var_os("LIMBECK_REQUIRE_CUDA"), device) {
        (Some(_), Err(why)) => panic!("LIMBECK_REQUIRE_CUDA is set, but: {why}"),
        (_, device) => device.ok(),
    }
}

/// The processor, and [`cuda`].
pub fn devices() -> Vec<Device> {
    std::iter::once(Device::Cpu).chain(cuda()).collect()
}
