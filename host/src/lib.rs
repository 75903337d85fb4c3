//! Limbeck, the engine: it distils a classifier without its training data.
//!
//! A recipe (`config`) becomes a `plan`; the stages then work through it one after the other and meet only in the files
//! of the run directory.

pub mod accuracy;
pub mod backend;
pub mod bench;
pub mod config;
pub mod data;
pub mod device;
pub mod diffusion;
pub mod distill;
mod error;
pub mod eval;
pub mod fidelity;
mod hash;
pub mod interrupt;
pub mod measure;
mod optimizer;
pub mod plan;
pub mod planning;
pub mod policy;
pub mod policy_project;
pub mod pool;
pub mod progress;
pub mod recipe;
pub mod replay;
pub mod report;
pub mod rounds;
pub mod run_dir;
pub mod seed;
pub mod select;
mod spelling;
mod student;
pub mod summary;
pub mod synth;
pub mod train_classifier;
pub mod train_generator;
pub mod training;
pub mod words;

pub use error::{Context, Error, Result};
