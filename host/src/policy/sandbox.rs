//! The engine under all policies of a process: what WebAssembly may contain, and the clock that ends a call that hangs.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Config, Engine, WasmFeatures};

use super::{PolicyError, Result};

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(10);

/// Compiles and runs policies. Cheap to clone; one is enough for a process.
#[derive(Clone)]
pub struct Sandbox {
    engine: Arc<Engine>,
}

impl Sandbox {
    /// An engine in which every result is the same on every machine, with one watchdog thread that ends with it.
    pub fn new() -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true).epoch_interruption(true).cranelift_nan_canonicalization(true);
        // What is left out has results that differ between machines, or opens ground that no policy needs.
        let forbidden = WasmFeatures::RELAXED_SIMD
            | WasmFeatures::THREADS
            | WasmFeatures::SHARED_EVERYTHING_THREADS
            | WasmFeatures::MEMORY64
            | WasmFeatures::GC
            | WasmFeatures::STACK_SWITCHING
            | WasmFeatures::CUSTOM_PAGE_SIZES
            | WasmFeatures::WIDE_ARITHMETIC;
        config.wasm_features(forbidden, false);
        let engine = Engine::new(&config).map_err(|error| PolicyError::Sandbox { reason: format!("{error:#}") })?;
        watch(&engine)?;
        Ok(Self { engine: Arc::new(engine) })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// Ticks until the last user of the engine is gone.
fn watch(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    let thread = std::thread::Builder::new().name("policy watchdog".into()).spawn(tick);
    thread.map(drop).map_err(|error| PolicyError::Sandbox { reason: format!("no watchdog thread: {error}") })
}

/// How many ticks a call may last: at least the time, at most 20 ms more.
pub(super) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX / 2).min(u64::MAX / 2) + 1
}
