//! The networks against PyTorch, and how they are found by name and by tensors.

mod detect;
mod gradients;
mod hashed;
mod names;
mod parity;
mod pytorch;
mod students;
