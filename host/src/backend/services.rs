//! What the host lends to an instance: log, cancellation, folder, threads.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use limbeck_backend::Level;
use limbeck_backend::abi::{self, Str};
use limbeck_backend::dlpack::DLDevice;

use crate::progress::{Progress, clean};
use crate::{Error, Result};

/// Characters of one line that are shown.
const LINE: usize = 1000;

/// Takes a plugin's log lines, from any thread: clean and of a bounded length.
pub type Log = dyn Fn(Level, &str) + Send + Sync;

/// What a plugin may use of the host.
#[derive(Clone)]
pub struct Services {
    /// Default: drops the lines.
    pub log: Arc<Log>,
    /// Asked by plugins in long calls; true makes them stop. Default: never.
    pub cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
    /// How many threads an instance may keep busy, at least 1. Default: as many as the host itself.
    pub max_threads: usize,
}

impl Services {
    /// The default ones, with lines at level `least` or above told to the user, each once: stages open a plugin again that
    /// an earlier one has opened. `who` stands before each.
    pub fn telling(progress: &Progress, who: &str, least: Level) -> Self {
        let (progress, who) = (progress.clone(), who.to_owned());
        let log = move |level: Level, line: &str| {
            let line = format!("{who}: {line}");
            match level {
                _ if level > least || !progress.is_new(&line) => {}
                Level::Error | Level::Warn => progress.warn(line),
                Level::Info | Level::Debug => progress.note(line),
            }
        };
        Self { log: Arc::new(log), ..Self::default() }
    }
}

impl Default for Services {
    fn default() -> Self {
        Self { log: Arc::new(|_, _| ()), cancelled: Arc::new(|| false), max_threads: rayon::current_num_threads() }
    }
}

/// The `limbeck_host` of one instance with all it points to. Shared, because the plugin keeps the address: moving an `Arc` leaves
/// pointers to its content valid, moving a `Box` does not.
pub(super) struct Lent {
    host: abi::Host,
    _services: Arc<Services>,
    _plugin_dir: Arc<str>,
}

// SAFETY: the pointers in `host` lead to what the two others keep alive and nobody changes; `Services` is Sync.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl Lent {
    /// Fails when the folder's name is not UTF-8, which the ABI needs.
    pub(super) fn new(services: Services, plugin_dir: &Path, device: DLDevice) -> Result<Arc<Self>> {
        let plugin_dir: Arc<str> = plugin_dir.to_str().map(Arc::from).ok_or_else(|| {
            Error::input(format!("plugin folder `{}`: its name is not UTF-8: rename it", plugin_dir.display()))
        })?;
        let services = Arc::new(services);
        let host = abi::Host {
            struct_size: size_of::<abi::Host>() as u32,
            abi_minor: abi::MINOR,
            ctx: Arc::as_ptr(&services).cast_mut().cast(),
            log: Some(log),
            cancelled: Some(cancelled),
            plugin_dir: Str::borrow(&plugin_dir),
            max_threads: services.max_threads.clamp(1, u32::MAX as usize) as u32,
            reserved: 0,
            device,
        };
        Ok(Arc::new(Self { host, _services: services, _plugin_dir: plugin_dir }))
    }

    pub(super) fn host(&self) -> *const abi::Host {
        &self.host
    }
}

/// # Safety
/// `ctx` is NULL or the one in the `limbeck_host`; `message` is NULL or readable for its length.
unsafe extern "C" fn log(ctx: *mut c_void, level: c_int, message: Str) {
    // SAFETY: the host keeps the services until destroy returns.
    let Some(services) = (unsafe { ctx.cast_const().cast::<Services>().as_ref() }) else { return };
    // SAFETY: by the plugin's promise.
    let Some(message) = (unsafe { message.bytes() }) else { return };
    // Names of tensors and the like come from files.
    let message = clean(&String::from_utf8_lossy(message), LINE);
    // A panic in the host's own log must not unwind into the plugin.
    let _ = catch_unwind(AssertUnwindSafe(|| (services.log)(Level::from_code(level), &message)));
}

/// # Safety
/// `ctx` is NULL or the one in the `limbeck_host`.
unsafe extern "C" fn cancelled(ctx: *mut c_void) -> c_int {
    // SAFETY: the host keeps the services until destroy returns.
    let Some(services) = (unsafe { ctx.cast_const().cast::<Services>().as_ref() }) else { return 0 };
    catch_unwind(AssertUnwindSafe(|| c_int::from((services.cancelled)()))).unwrap_or(1)
}
