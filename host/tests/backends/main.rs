//! Plugins, well-meant and hostile, opened as a recipe would open them. Needs a C compiler `cc`.

mod ensemble;
mod gradients;
mod hostile;
mod loading;
mod panics;
mod selftest;
mod support;
mod teachers;
