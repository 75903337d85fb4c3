//! What the host does for a policy in the sandbox.

use crate::bindings::imports::limbeck::policy::host;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes a line into the log of the run. Capped in number and length; control characters are replaced.
pub fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => host::Level::Debug,
        Level::Info => host::Level::Info,
        Level::Warn => host::Level::Warn,
        Level::Error => host::Level::Error,
    };
    host::log(level, message);
}

/// A figure for the report of the run; the last value counts.
pub fn metric(name: &str, value: f64) {
    host::metric(name, value);
}

/// The next `n` random numbers (at most 1,048,576): the same for the same seed of the run, policy, step and call.
pub fn random(n: u32) -> Vec<u64> {
    host::random(n)
}
