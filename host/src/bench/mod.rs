//! What `limbeck bench` measures, where it is more than one call.

pub mod distill;
pub mod machine;
pub mod turns;
