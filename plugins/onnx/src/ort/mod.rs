//! ONNX Runtime behind safe functions. The only place of this plugin with `unsafe` in it.

mod library;
mod session;
mod table;

pub(crate) use self::library::Runtime;
pub(crate) use self::session::{Options, Port, Session, Tensor};
