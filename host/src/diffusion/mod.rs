//! Diffusion: the schedule, the samplers and the training loss. The network itself is `limbeck_models::dit`.

pub mod generator;
pub mod guidance;
pub mod noise;
pub mod sampler;
pub mod schedule;
pub mod training_loss;
