//! Plugins, well-meant and hostile, opened as a recipe would open them. Needs a C compiler `cc`.

mod crash;
mod documents;
mod ensemble;
mod exit;
mod gradients;
mod hostile;
mod loading;
mod onnx;
mod panics;
mod selftest;
mod support;
mod teachers;
