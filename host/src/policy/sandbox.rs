//! The engine under all policies of a process: what WebAssembly may contain, and the clock that ends a call that hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Config, Engine, WasmFeatures};

use super::{PolicyError, Result};

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(10);

/// Files of at least so many bytes are compiled once a process: those that carry an interpreter take ten seconds or more.
const LARGE: usize = 1 << 20;

/// Compiles and runs policies. Cheap to clone; one is enough for a process.
#[derive(Clone)]
pub struct Sandbox {
    engine: Arc<Engine>,
    /// Large components by the SHA-256 of their files.
    compiled: Arc<Mutex<BTreeMap<String, Component>>>,
}

impl Sandbox {
    /// The one that all stages of this process share.
    pub fn shared() -> Result<Self> {
        static SHARED: Mutex<Option<Sandbox>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            Some(sandbox) => Ok(sandbox.clone()),
            None => Ok(shared.insert(Self::new()?).clone()),
        }
    }

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
        Ok(Self { engine: Arc::new(engine), compiled: Arc::default() })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Compiles a component, or finds it compiled.
    pub(super) fn compile(&self, bytes: &[u8], sha256: &str) -> wasmtime::Result<Component> {
        if bytes.len() < LARGE {
            return Component::from_binary(&self.engine, bytes);
        }
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = compiled.get(sha256) {
            return Ok(component.clone());
        }
        let component = Component::from_binary(&self.engine, bytes)?;
        compiled.insert(sha256.to_owned(), component.clone());
        Ok(component)
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
