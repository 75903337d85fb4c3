//! The operations under the networks: fast on the CPU, candle's own on other devices, one gradient for both.

mod attention;
pub mod cpu;
mod gelu;
mod linear;
mod norm;

pub use attention::attention;
pub use gelu::gelu;
pub use linear::linear;
pub use norm::{gated_residual, layer_norm_modulate};
