//! What the host keeps for one running instance of a policy.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use super::columns::Columns;
use super::limits::{Limits, Meter};
use super::log::{LogSink, Logger};
use crate::seed::{self, Purpose};

/// Stands for a batch in the guest's handle table; its number says for which call it was lent.
pub struct Lent;

/// The batch of the call in progress.
pub struct Batch {
    pub columns: Columns,
    pub round: u32,
    pub epoch: u32,
    pub step: u64,
    /// The number of the call.
    pub call: u32,
}

/// The data of a store.
pub struct State {
    pub meter: Meter,
    pub log: Logger,
    pub batch: Option<Batch>,
    pub metrics: BTreeMap<String, f64>,
    /// Bytes of columns that the policy read.
    pub lent: u64,
    /// The random numbers of the call in progress.
    pub random: ChaCha8Rng,
    /// The random numbers behind WASI, which seed hash maps. Apart from `random`, so that neither moves the other.
    pub wasi_random: ChaCha8Rng,
    seed: u64,
}

impl State {
    pub fn new(limits: &Limits, log: LogSink, seed: u64) -> Self {
        Self {
            meter: Meter::new(limits),
            log: Logger::new(log),
            batch: None,
            metrics: BTreeMap::new(),
            lent: 0,
            random: seed::rng(seed, Purpose::Policy, 0),
            wasi_random: seed::rng(seed, Purpose::Policy, u64::MAX),
            seed,
        }
    }

    /// Keeps the numbers of this policy apart from those of others under the same seed.
    pub fn set_name(&mut self, name: &str) {
        let hash = crate::hash::sha256_bytes(name.as_bytes());
        // Sixteen hexadecimal digits are always a u64.
        self.seed ^= u64::from_str_radix(&hash[..16], 16).unwrap_or(0);
    }

    /// Makes the next random numbers depend on the seed and `stream` only.
    pub fn restart_random(&mut self, stream: u64) {
        self.random = seed::rng(self.seed, Purpose::Policy, stream);
    }
}
