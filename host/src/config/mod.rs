//! What the user wrote. Every key, its default, its range and its unit; no check beyond types, and nothing looked up.
//!
//! Paths are relative to the recipe file. What will be done is in `plan`.

mod data;
mod distill;
mod rounds;
mod run;
mod teacher;
mod train;

pub use data::*;
pub use distill::*;
pub use rounds::*;
pub use run::*;
pub use teacher::*;
pub use train::*;
