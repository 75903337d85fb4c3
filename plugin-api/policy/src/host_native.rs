//! What the host does for a policy, for policies that run natively: logs to stderr, random numbers of its own.

use std::cell::Cell;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes a line into the log of the run.
pub fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// A figure for the report of the run.
pub fn metric(name: &str, value: f64) {
    eprintln!("{name} = {value}");
}

/// The next `n` random numbers. Natively they are others than in the sandbox, and the same in each new thread.
pub fn random(n: u32) -> Vec<u64> {
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    (0..n).map(|_| splitmix(STATE.replace(STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15)))).collect()
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn splitmix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
