//! Maximum and average pooling of NCHW images with a CPU gradient. Other devices: `taps`.

mod max;
mod mean;
mod overlapping;
mod taps;
mod window;

pub use self::max::max_pool2d;
pub(super) use self::max::{backward as max_backward, forward as max_forward};
pub(super) use self::mean::plane_means;
pub use self::mean::{adaptive_avg_pool2d, avg_pool2d, global_avg_pool};
pub(super) use self::window::Window;
