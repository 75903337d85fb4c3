//! What `limbeck bench` measures, where it is more than one call.

pub mod distill;
pub mod input;
pub mod machine;
pub mod policy;
pub mod turns;
