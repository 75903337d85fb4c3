//! ONNX Runtime behind safe functions: where it is on this machine, which version it is, and a model that is ready to run.
//! The plugin `onnx` works with it, and `limbeck doctor` says what the plugin would find.

mod find;
mod library;
mod session;
mod table;

pub use self::find::find;
pub use self::library::{Failure, Runtime};
pub use self::session::{Options, Port, Session, Tensor};
