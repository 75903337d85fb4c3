//! The operations under the networks: fast on the CPU, candle's own on other devices, one gradient for both.

mod activation;
mod attention;
mod batch_norm;
mod channels;
mod conv;
pub mod cpu;
mod gelu;
mod inference;
mod kd_loss;
mod layer_norm;
mod linear;
mod norm;
mod pool;
pub mod profile;
mod stretch;
mod tile;

pub use activation::{Activation, gelu_erf, relu, relu6, sigmoid, silu};
pub use attention::attention;
pub use batch_norm::{BatchStats, Norm, batch_norm};
pub use channels::{scale_channels, shuffle_channels};
pub use conv::{conv2d, conv2d_norm};
pub use gelu::gelu;
pub use inference::{Images, Inference, Running};
pub use kd_loss::kd_loss;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use norm::{gated_residual, layer_norm_modulate};
pub use pool::{adaptive_avg_pool2d, avg_pool2d, global_avg_pool, max_pool2d};
pub use stretch::{Stretch, Value};
