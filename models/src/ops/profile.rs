//! Where the time of a step goes: seconds in the operations that calculate, and the arithmetic that they stand for.
//!
//! Counted on the thread that calls the operations, so that two networks on two threads don't mix.

use std::cell::Cell;
use std::time::Instant;

/// What an operation is counted as.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Convolution,
    Product,
    Normalisation,
}

/// Time and arithmetic since the last [`take`] on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Seconds in convolutions, with what is fused behind them.
    pub convolution: f64,
    /// Seconds in matrix products of linear layers.
    pub product: f64,
    /// Seconds in batch normalisation, with what is fused behind it.
    pub normalisation: f64,
    /// Floating-point operations by the definition of convolutions and products, whatever the method: a
    /// multiplication and an addition are two.
    pub operations: f64,
}

impl Spent {
    /// Seconds in all three.
    pub fn seconds(&self) -> f64 {
        self.convolution + self.product + self.normalisation
    }
}

thread_local! {
    static SPENT: Cell<Spent> = const { Cell::new(Spent { convolution: 0.0, product: 0.0, normalisation: 0.0, operations: 0.0 }) };
}

/// What was spent on this thread since the last call; starts again at nothing.
pub fn take() -> Spent {
    SPENT.take()
}

/// Runs `f` and counts its time and `operations`.
pub(crate) fn timed<R>(kind: Kind, operations: f64, f: impl FnOnce() -> R) -> R {
    let started = Instant::now();
    let result = f();
    let seconds = started.elapsed().as_secs_f64();
    let mut spent = SPENT.get();
    match kind {
        Kind::Convolution => spent.convolution += seconds,
        Kind::Product => spent.product += seconds,
        Kind::Normalisation => spent.normalisation += seconds,
    }
    spent.operations += operations;
    SPENT.set(spent);
    result
}
