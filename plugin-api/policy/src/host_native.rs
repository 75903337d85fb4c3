//! What the host does for a policy, for policies that run natively: logs to stderr, random numbers of its own.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

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

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
    static FED: RefCell<VecDeque<u64>> = const { RefCell::new(VecDeque::new()) };
}

/// The next `n` random numbers: those fed, then others than in the sandbox, the same in each new thread.
pub fn random(n: u32) -> Vec<u64> {
    (0..n).map(|_| FED.with_borrow_mut(VecDeque::pop_front).unwrap_or_else(next)).collect()
}

/// Gives [`random`] on this thread the numbers that it returns next, such as those of a run.
pub fn feed_random(numbers: impl IntoIterator<Item = u64>) {
    FED.with_borrow_mut(|fed| *fed = numbers.into_iter().collect());
}

fn next() -> u64 {
    splitmix(STATE.replace(STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn splitmix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
