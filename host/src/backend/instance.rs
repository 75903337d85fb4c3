//! One instance of a plugin behind safe functions: called from the right threads, its statuses turned into errors.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor};
use limbeck_backend::abi::{self, Str};
use limbeck_backend::dlpack::DLDataType;
use limbeck_backend::{Description, Threads};

use super::exchange::{Inputs, Outputs, Place};
use super::services::{Lent, Services};
use super::table::{self, Table};
use super::watch;
use crate::{Error, Result};

/// What an instance is made of, and where it will work.
pub(super) struct Setup<'a> {
    /// Names the plugin in errors.
    pub(super) shown: &'static str,
    pub(super) plugin_dir: &'a Path,
    pub(super) config: &'a serde_json::Value,
    pub(super) device: &'a Device,
    pub(super) services: Services,
}

/// A live instance and what it said about itself.
pub(super) struct Instance {
    handle: Handle,
    description: Description,
    device: Device,
}

impl Instance {
    /// Creates an instance and asks what it is. Fails as wrong input: the recipe chose plugin, weights and settings.
    pub(super) fn create(table: &Table, setup: Setup<'_>) -> Result<Self> {
        let device = setup.device.clone();
        let handle = Handle::create(table.clone(), setup)?;
        let description = handle.describe()?;
        Ok(Self { handle, description, device })
    }

    /// Names the plugin in errors.
    pub(super) fn shown(&self) -> &str {
        self.handle.shown
    }

    pub(super) fn description(&self) -> &Description {
        &self.description
    }

    /// Where inputs must be and outputs will be.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Runs one operation on compact tensors. The outputs are f32 of the shapes `wanted`; what the plugin leaves
    /// unwritten in them is NaN.
    pub(super) fn run(&self, op: u32, inputs: &[&Tensor], wanted: &[Vec<usize>]) -> Result<Vec<Tensor>> {
        let place = Place::of(&self.device)?;
        let inputs = Inputs::lend(inputs, &place)?;
        self.check_shapes(op, &inputs, wanted)?;
        let mut outputs = Outputs::allocate(wanted, &self.device, &place)?;
        self.fill(op, &place, &inputs, &mut outputs)?;
        outputs.into_tensors()
    }

    /// As [`Self::run`], and whether nothing beside the outputs was written: on the CPU each has `margin` elements around.
    pub(super) fn run_watched(
        &self,
        op: u32,
        inputs: &[&Tensor],
        wanted: &[Vec<usize>],
        margin: usize,
    ) -> Result<(Vec<Tensor>, bool)> {
        let place = Place::of(&self.device)?;
        let inputs = Inputs::lend(inputs, &place)?;
        self.check_shapes(op, &inputs, wanted)?;
        let mut outputs = Outputs::with_margin(wanted, &self.device, &place, margin)?;
        self.fill(op, &place, &inputs, &mut outputs)?;
        let intact = outputs.margins_intact();
        Ok((outputs.into_tensors()?, intact))
    }

    fn fill(&self, op: u32, place: &Place, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<()> {
        self.handle.call("run", |table, raw| {
            let exec = place.exec();
            let (ins, outs) = (inputs.tensors(), outputs.tensors_mut());
            // SAFETY: a live instance; as many tensors as counted, alive and unshared until the call returns.
            unsafe { (table.run)(raw, op, &exec, ins.as_ptr(), ins.len(), outs.as_mut_ptr(), outs.len()) }
        })
    }

    /// Asks for the shapes of the outputs and holds them against what the description promises.
    fn check_shapes(&self, op: u32, inputs: &Inputs<'_>, wanted: &[Vec<usize>]) -> Result<()> {
        let unset = abi::Shape { ndim: -1, dtype: DLDataType::F32, dims: [0; abi::MAX_DIMS] };
        let mut shapes = vec![unset; wanted.len()];
        self.handle.call("shapes", |table, raw| {
            let ins = inputs.tensors();
            // SAFETY: a live instance; as many tensors and shapes as counted.
            unsafe { (table.shapes)(raw, op, ins.as_ptr(), ins.len(), shapes.as_mut_ptr(), shapes.len()) }
        })?;
        for (index, (shape, wanted)) in shapes.iter().zip(wanted).enumerate() {
            let dims = usize::try_from(shape.ndim).ok().and_then(|ndim| shape.dims.get(..ndim));
            let right = dims.is_some_and(|dims| {
                dims.len() == wanted.len() && dims.iter().zip(wanted).all(|(&dim, &want)| dim == want as i64)
            });
            if !right || shape.dtype != DLDataType::F32 {
                let found = dims.map_or_else(|| format!("{} dimensions", shape.ndim), |dims| format!("{dims:?}"));
                return Err(Error::failed(format!(
                    "plugin `{}` announces {} {found} for output {index} of operation {op}, its description promises \
                     f32 {wanted:?}",
                    self.shown(),
                    shape.dtype.name()
                )));
            }
        }
        Ok(())
    }
}

/// The plugin's own pointer with all that calling it needs; destroys it when dropped.
struct Handle {
    shown: &'static str,
    table: Table,
    raw: Pointer,
    gate: Gate,
    // Last: the plugin may use it until it is destroyed.
    _lent: Arc<Lent>,
}

/// What the plugin calls its instance. Which threads may use it is the gate's business.
#[derive(Clone, Copy)]
struct Pointer(*mut c_void);

// SAFETY: only passed to the plugin, and only through the gate.
unsafe impl Send for Pointer {}
// SAFETY: as above.
unsafe impl Sync for Pointer {}

impl Handle {
    fn create(table: Table, setup: Setup<'_>) -> Result<Self> {
        let Setup { shown, plugin_dir, config, device, services } = setup;
        let gate = Gate::new(table.manifest.threads)?;
        let lent = Lent::new(services, plugin_dir, Place::of(device)?.device())?;
        let config = config.to_string();
        let created = gate.enter(|| {
            watch::within(shown, "create", || {
                let mut raw = std::ptr::null_mut();
                // SAFETY: host and string outlive the call, the host the instance too; `raw` is writable.
                match unsafe { (table.create)(lent.host(), Str::borrow(&config), &mut raw) } {
                    abi::OK => Ok(Pointer(raw)),
                    code => Err(reason(&table, std::ptr::null_mut(), code)),
                }
            })
        });
        let raw = created.map_err(|why| Error::input(format!("plugin `{shown}` can't be set up: {why}")))?;
        if raw.0.is_null() {
            return Err(Error::input(format!("plugin `{shown}`: its `create` said OK but gave no instance")));
        }
        Ok(Self { shown, table, raw, gate, _lent: lent })
    }

    fn describe(&self) -> Result<Description> {
        let mut found = Err("its `describe` was not called".to_owned());
        self.call("describe", |table, raw| {
            let mut json = Str::EMPTY;
            // SAFETY: a live instance and a writable string.
            let code = unsafe { (table.describe)(raw, &mut json) };
            if code == abi::OK {
                // SAFETY: on success the string is readable until destroy; it is parsed here.
                let bytes = unsafe { json.bytes() }.ok_or("its description is NULL");
                found = bytes.map_err(str::to_owned).and_then(|bytes| table::description(bytes, &table.manifest));
            }
            code
        })?;
        found.map_err(|why| Error::input(format!("plugin `{}`: {why}", self.shown)))
    }

    /// Makes one call through the gate. A status other than OK becomes an error that names plugin and function.
    fn call(&self, function: &'static str, call: impl FnOnce(&Table, *mut c_void) -> c_int + Send) -> Result<()> {
        let outcome = self.gate.enter(|| {
            // Rust would capture the bare pointer otherwise, which may not go to another thread.
            let Pointer(raw) = { self }.raw;
            watch::within(self.shown, function, || match call(&self.table, raw) {
                abi::OK => Ok(()),
                code => Err(reason(&self.table, raw, code)),
            })
        });
        outcome.map_err(|why| Error::failed(format!("plugin `{}` failed in `{function}`: {why}", self.shown)))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.gate.enter(|| {
            let Pointer(raw) = { &*self }.raw;
            // SAFETY: a live instance, and this is its last use.
            watch::within(self.shown, "destroy", || unsafe { (self.table.destroy)(raw) });
        });
    }
}

/// Why a call failed, asked on the thread that made it.
fn reason(table: &Table, raw: *mut c_void, code: c_int) -> String {
    const MOST: usize = 4096;
    // SAFETY: `raw` is a live instance, or NULL after a failed create as the header says.
    let message = unsafe { (table.last_error)(raw) };
    // SAFETY: readable until the next call on this thread; copied here.
    let bytes = unsafe { message.bytes() }.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    match (text.trim(), code) {
        ("", abi::FAILED) => "it gave no reason".into(),
        ("", abi::UNSUPPORTED) => "it does not support this operation, input size or output".into(),
        ("", abi::CANCELLED) => "cancelled".into(),
        ("", code) => format!("it gave no reason (code {code})"),
        (text, _) => text.into(),
    }
}

/// Lets calls in as the manifest allows.
enum Gate {
    Concurrent,
    Serial(Mutex<()>),
    /// Every call runs on the one thread of this pool.
    Single(rayon::ThreadPool),
}

impl Gate {
    fn new(threads: Threads) -> Result<Self> {
        Ok(match threads {
            Threads::Concurrent => Self::Concurrent,
            Threads::Serial => Self::Serial(Mutex::new(())),
            Threads::Single => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "plugin".into()).build();
                Self::Single(pool.map_err(|why| Error::failed(format!("can't start a thread: {why}")))?)
            }
        })
    }

    fn enter<R: Send>(&self, call: impl FnOnce() -> R + Send) -> R {
        match self {
            Self::Concurrent => call(),
            Self::Serial(lock) => {
                let _turn = lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                call()
            }
            Self::Single(pool) => pool.install(call),
        }
    }
}
