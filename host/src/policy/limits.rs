//! How much a policy may use, and the watch over its memory.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::plan::LimitsPlan;

/// What one instance of a policy may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Units of fuel for each call: about one a WebAssembly instruction, and one for 8 bytes that the host lends.
    pub fuel: u64,
    /// Bytes of memory and tables together, over the whole instance.
    pub memory: usize,
    /// Time on the wall for each call: a guard against hanging, not a measure, since it differs between machines.
    pub time: Duration,
}

impl From<&LimitsPlan> for Limits {
    fn from(plan: &LimitsPlan) -> Self {
        let memory = usize::try_from(plan.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        Self { fuel: plan.fuel, memory, time: Duration::try_from_secs_f64(plan.seconds).unwrap_or(Duration::MAX) }
    }
}

impl Default for Limits {
    /// Those of a recipe that says nothing.
    fn default() -> Self {
        Self::from(&LimitsPlan::default())
    }
}

/// Bytes of a table's entry, rounded up.
const TABLE_ENTRY: usize = 16;
/// Core instances in a component: those of the Python toolchain have about forty.
const INSTANCES: usize = 200;
const TABLES: usize = 100;
const MEMORIES: usize = 20;

/// A policy wanted more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("{wanted} bytes of memory wanted, {cap} allowed")]
pub struct MemoryExceeded {
    pub wanted: usize,
    pub cap: usize,
}

/// Counts all memories and tables of a store together, and refuses what goes past the cap by a trap, so that no policy
/// can see how much there is.
#[derive(Debug)]
pub struct Meter {
    cap: usize,
    used: usize,
    peak: usize,
}

impl Meter {
    pub fn new(limits: &Limits) -> Self {
        Self { cap: limits.memory, used: 0, peak: 0 }
    }

    /// The most bytes that were in use at once.
    pub fn peak(&self) -> usize {
        self.peak
    }

    fn grow(&mut self, by: usize) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(by);
        if wanted > self.cap {
            return Err(MemoryExceeded { wanted, cap: self.cap }.into());
        }
        self.used = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ENTRY))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
