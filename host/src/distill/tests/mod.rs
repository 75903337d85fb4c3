//! Whole distillations of toy images.

mod cache;
mod counting;
mod devices;
mod learning;
mod mixed;
mod refusals;
mod resume;
mod teacher;
mod told;
mod toy;
