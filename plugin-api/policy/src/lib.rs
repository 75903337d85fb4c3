//! Write a policy for Limbeck: a struct that decides which images are kept or how much each one counts, compiled to a
//! small WebAssembly component that runs in a sandbox.
//!
//! ```
//! use limbeck_policy::{Batch, Env, Policy, Weigher, column};
//!
//! /// Weight = the teacher's probability of the intended class, to a power.
//! struct Confidence {
//!     gamma: f64,
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields, rename_all = "kebab-case")]
//! struct Config {
//!     gamma: f64,
//! }
//!
//! impl Policy for Confidence {
//!     const NAME: &str = "my-confidence";
//!     type Config = Config;
//!
//!     fn new(config: Config, _: &Env) -> Result<Self, String> {
//!         Ok(Self { gamma: config.gamma })
//!     }
//!
//!     fn needs(&self) -> Vec<String> {
//!         vec![column::TEACHER_P_CLASS.into()]
//!     }
//! }
//!
//! impl Weigher for Confidence {
//!     fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
//!         let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
//!         Ok(p.iter().map(|&p| limbeck_policy::math::pow(p.into(), self.gamma) as f32).collect())
//!     }
//! }
//!
//! limbeck_policy::export_weigher!(Confidence);
//! ```
//!
//! Build it as a `cdylib` with `cargo build --release --target wasm32-wasip2`. The same struct runs natively on a
//! [`Table`], which is how to test it. For the same bits in both worlds take `exp`, `ln` and `pow` from [`math`], and
//! never let a decision hang on the order of a `HashMap`.

mod batch;
pub mod column;
pub mod math;
mod memory;
mod options;
mod plan;
mod role;
mod share;
#[cfg(not(target_arch = "wasm32"))]
mod table;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
mod export;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
#[cfg(not(target_arch = "wasm32"))]
#[path = "host_native.rs"]
mod host;
#[cfg(target_arch = "wasm32")]
#[path = "host_wasm.rs"]
mod host;

pub use batch::{Batch, Column, Kind};
#[cfg(not(target_arch = "wasm32"))]
pub use host::feed_random;
pub use host::{Level, log, metric, random};
pub use memory::Memory;
pub use options::{Model, within};
pub use plan::{ClassStats, Hard, Stats, apportion, in_turn};
pub use role::{Draw, Env, Planner, Policy, Scorer, Scores, Selection, Selector, Setup, Veto, Weigher, configure};
pub use share::share;
#[cfg(not(target_arch = "wasm32"))]
pub use table::Table;
