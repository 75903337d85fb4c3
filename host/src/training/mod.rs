//! What the training of a classifier and the distillation of a student share: batches, augmentation, the network with its
//! optimiser as one thing that can be saved at any step, and the log.

pub mod augment;
pub mod batches;
pub mod learner;
pub mod log;
pub mod mix;
pub mod normal;
pub mod resume;
pub mod try_out;

pub use augment::{Augment, Augmented, Images};
pub use batches::Batches;
pub use learner::{Learner, Spec};
pub use log::{Log, Running};
pub use mix::Mix;
pub use normal::Normal;
pub use resume::Resume;
pub use try_out::try_out;

/// Threads that vary images ahead of a training's steps, where nobody says how many.
pub fn spare_workers() -> usize {
    (rayon::current_num_threads() / 4).max(1)
}
