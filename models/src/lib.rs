//! Networks, and the fast training operations under them; used by the host and by plugins.

pub mod checkpoint;
pub mod classifier;
pub mod dit;
mod error;
pub mod finite;
pub mod loss;
pub mod ops;
pub mod optim;
pub mod parallel;
pub mod params;
pub mod preprocess;
pub mod process;
pub mod testing;
pub mod torch;
pub mod weights;

pub use error::{Error, Result};
pub use params::{Init, Params};
