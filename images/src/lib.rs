//! From encoded images to what a network takes: reading shards and folders, decoding, cropping, varying, and doing all that
//! ahead of time on other threads. No tensors here, and no randomness but what the caller hands in.

mod change;
mod colour;
mod decode;
mod feed;
mod geometry;
mod pixels;
mod resize;
mod source;
mod tone;
mod vary;

pub use change::Change;
pub use decode::{DecodeError, decode};
pub use feed::Feed;
pub use pixels::{Channels, Pixels};
pub use resize::{Resizer, Window};
pub use source::{Source, SourceError, class_folders, subfolders, visible_entries};
pub use vary::{Jitter, RandAugment, Vary};
