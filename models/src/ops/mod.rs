//! The operations under the networks: fast on the CPU, candle's own on other devices, one gradient for both.

pub mod batch_norm;
pub mod conv;
pub(crate) mod cpu;
pub mod pool;

pub use batch_norm::{BatchStats, Norm, batch_norm};
pub use conv::conv2d;
pub use pool::{avg_pool2d, global_avg_pool, max_pool2d};
