//! How a stranger's teacher or denoiser joins Limbeck: a C ABI of one function table and DLPack tensors, and safe Rust
//! traits over it.
//!
//! A plugin in C needs only `include/limbeck_backend.h`. One in Rust implements [`Backend`] and [`Classifier`] or
//! [`Denoiser`], and ends with [`export_backend!`]:
//!
//! ```
//! use limbeck_backend::*;
//!
//! /// Says that bright images are class 1.
//! struct Brightness;
//!
//! impl Backend for Brightness {
//!     fn manifest() -> Manifest {
//!         Manifest { operations: vec!["classify".into()], ..Manifest::new("brightness", "1.0.0") }
//!     }
//!
//!     fn create(_host: &Host, _config: &serde_json::Value) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn describe(&self) -> Description {
//!         let input = InputSize { channels: 1, height: 28, width: 28 };
//!         Description { classes: 2, input, features: None, variance: false, network: None }
//!     }
//!
//!     fn classifier(&self) -> Option<&dyn Classifier> {
//!         Some(self)
//!     }
//! }
//!
//! impl Classifier for Brightness {
//!     fn classify(&self, _: &Exec, images: &Input, logits: &mut Output, _: Option<&mut Output>) -> Result<()> {
//!         for (image, row) in images.f32s()?.chunks(28 * 28).zip(logits.f32s()?.chunks_mut(2)) {
//!             let mean = image.iter().sum::<f32>() / image.len() as f32;
//!             row.copy_from_slice(&[-mean, mean]);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_backend!(Brightness);
//! ```
//!
//! The crate must be a `cdylib`. Panics never leave the plugin: each call catches them and the instance stays unusable.
//! A plugin that calls `exit` ends the program, with exit code 1 and a line that names it. What the host can't contain in native
//! code: `_exit`, a call that never returns, and memory errors in `unsafe`.

pub mod abi;
mod dispatch;
pub mod dlpack;
mod error;
mod host;
mod manifest;
#[doc(hidden)]
pub mod shim;
mod tensor;
mod traits;

pub use error::{Error, Result};
pub use host::{Exec, Host, Level};
pub use manifest::{Description, InputSize, Manifest, Threads};
pub use serde_json;
pub use shim::table_of;
pub use tensor::{Input, Output};
pub use traits::{Backend, Classifier, Condition, Denoiser, Differentiable, Noisy};

/// Exports a [`Backend`] as this library's plugin. Once a library.
///
/// A program that links the same backend in uses [`table_of`] instead.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        /// The plugin's table, as `limbeck_backend.h` describes.
        ///
        /// # Safety
        /// `out` is NULL or writable.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn limbeck_backend_query_v1(
            host_minor: u32,
            out: *mut *const $crate::abi::Backend,
        ) -> i32 {
            // SAFETY: the caller's promise is the same.
            unsafe { $crate::shim::query::<$backend>(host_minor, out) }
        }
    };
}
