//! SGD, AdamW, clipping, accumulation and the moving average of weights, with PyTorch's arithmetic.
//!
//! On the CPU an update is one pass over parameter, gradient and moments, in place: no copy of any of them is made.

mod ema;
mod kernels;
mod norm;
mod rule;
mod schedule;
mod updater;

pub use ema::Ema;
pub use norm::gradient_norm;
pub use rule::{Optimizer, Rule};
pub use schedule::Schedule;
pub use updater::{Settings, Updater};
