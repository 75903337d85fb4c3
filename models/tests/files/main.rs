//! Files of weights, and images on their way to a network.

mod preprocess;
mod torch;
mod weights;
