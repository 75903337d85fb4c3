//! Policies: WebAssembly components that decide, in a sandbox that they can't leave.
//!
//! A [`Policy`] is a compiled file; a [`PolicyInstance`] is one running copy of it with its memory. The worst that a
//! policy can do is to stop the run with a clear message, or to give bad weights that the report shows.
//!
//! **Invariant:** no other module names wasmtime.

mod chain;
mod check;
mod columns;
mod component;
mod contract;
mod ending;
mod error;
mod imports;
mod inspect;
mod instance;
mod limits;
mod log;
mod pool_ops;
mod sandbox;
mod sniff;
mod state;
mod synthetic;
mod trial;
mod usage;
mod wasi;
mod weigher;

pub use chain::ChainedWeigher;
pub(crate) use check::{
    draws as check_draws, scores as check_scores, selection as check_selection, weights as check_weights,
};
pub use columns::{Column, Columns, Numbers, Rows, Source, compute};
pub(crate) use columns::{Grade, divergence};
pub use component::{Policy, Role};
pub use error::{PolicyError, Result};
pub use inspect::{Checked, Inspection, brief, check, inspect};
pub use instance::{Draw, Env, Info, PolicyInstance, Scores, Selection, Setup, Veto, When};
pub use limits::Limits;
pub use log::{Level, LogSink, to_progress};
pub use sandbox::Sandbox;
pub use sniff::Found;
pub use trial::Trial;
pub use usage::{PolicyId, PolicyUse};
pub(crate) use weigher::normalise;
pub use weigher::{SandboxedWeigher, StepColumns, Weigher, WeigherFactory};
