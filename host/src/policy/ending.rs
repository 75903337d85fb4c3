//! What ended a call, in words.

use wasmtime::{Store, Trap};

use super::limits::MemoryExceeded;
use super::state::State;
use super::wasi::Forbidden;
use super::{Limits, PolicyError};
use crate::progress::clean;

/// Characters of a message that are shown.
pub const MESSAGE: usize = 2000;

/// Turns the error that ended a call into one that says what the policy did wrong.
pub fn explain(
    policy: &str,
    call: &'static str,
    store: &mut Store<State>,
    limits: &Limits,
    error: wasmtime::Error,
) -> PolicyError {
    let policy = policy.to_owned();
    if let Some(exceeded) = error.downcast_ref::<MemoryExceeded>() {
        let what = format!("{} of memory", mib(exceeded.wanted));
        return PolicyError::OutOfMemory { policy, call, what, cap: mib(exceeded.cap) };
    }
    if let Some(Forbidden(what)) = error.downcast_ref::<Forbidden>() {
        return PolicyError::Forbidden { policy, call, what: what.clone() };
    }
    let last_words = store.data_mut().log.take_last_words();
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => PolicyError::OutOfFuel { policy, call, budget: limits.fuel },
        Some(Trap::Interrupt) => PolicyError::OutOfTime { policy, call, seconds: limits.time.as_secs_f64() },
        Some(Trap::StackOverflow) => PolicyError::OutOfStack { policy, call },
        trap => {
            let reason = clean(&error.root_cause().to_string(), MESSAGE);
            // The reason why data can't be taken over has no type of its own in wasmtime.
            if reason.contains("fuel allocated for hostcalls") {
                let reason = "it is far longer than its rows explain".to_owned();
                return PolicyError::BadReply { policy, call, reason };
            }
            let message = match (trap, last_words) {
                (Some(Trap::UnreachableCodeReached), Some(words)) => words,
                (_, Some(words)) => format!("{reason}; it said: {words}"),
                (_, None) => reason,
            };
            PolicyError::Trap { policy, call, message }
        }
    }
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
