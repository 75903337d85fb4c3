//! The pool: every image that was drawn, with its provenance, in WebDataset shards that are only ever added.

mod sample;

pub use sample::{Image, Provenance, Sample};
