//! The backends that candle runs. `candle-classifier` and `candle-dit` export them from dynamic libraries; the host links the
//! same code in, which this crate is for: two libraries with the query function in them could not be linked together.

mod classifier;
#[cfg(feature = "cuda")]
mod cuda;
mod denoiser;
mod place;

use limbeck_backend::Error;

pub use self::classifier::CandleClassifier;
pub use self::denoiser::CandleDit;

/// The first line of an error: candle's append a backtrace.
fn shown(error: impl std::fmt::Display) -> Error {
    Error::new(error.to_string().lines().next().unwrap_or("unknown error"))
}
