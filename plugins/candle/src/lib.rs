//! The backends that candle runs. `candle-classifier` and `candle-dit` export them from dynamic libraries; the host links the
//! same code in, which this crate is for: two libraries with the query function in them could not be linked together.

mod classifier;
mod denoiser;

use limbeck_backend::{Error, Host, Result};

pub use self::classifier::CandleClassifier;
pub use self::denoiser::CandleDit;

/// Threads of an instance's own, named after `role`, so that the host's budget holds whatever candle's defaults are.
fn threads(role: &'static str, host: &Host) -> Result<rayon::ThreadPool> {
    let threads = host.max_threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(move |index| format!("{role}-{index}"));
    pool.build().map_err(|error| Error::new(format!("can't start {threads} threads: {error}")))
}

/// The first line of an error: candle's append a backtrace.
fn shown(error: impl std::fmt::Display) -> Error {
    Error::new(error.to_string().lines().next().unwrap_or("unknown error"))
}
