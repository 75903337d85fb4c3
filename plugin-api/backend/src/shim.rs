//! The functions behind a plugin's table: raw pointers in, the safe traits inside, nothing unwinds out.
//!
//! Plugins reach this module through [`crate::export_backend!`] only, programs through [`table_of`].

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::abi::{self, Str};
use crate::dispatch;
use crate::dlpack::DLTensor;
use crate::{Backend, Description, Error, Exec, Host, Result};

/// What `*instance` points to.
struct Instance<B> {
    backend: B,
    description: Description,
    description_json: String,
    /// The message of the panic that made this instance unusable.
    poison: OnceLock<String>,
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The table of a backend, made at the first call and kept until the process ends. A program that links a backend in
/// uses it through the same table as one that opens the library.
///
/// # Panics
/// If [`Backend::manifest`] does.
pub fn table_of<B: Backend>() -> &'static abi::Backend {
    static TABLES: Mutex<BTreeMap<TypeId, &'static abi::Backend>> = Mutex::new(BTreeMap::new());
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    tables.entry(TypeId::of::<B>()).or_insert_with(|| Box::leak(Box::new(make_table::<B>())))
}

/// Fills `*out` with the table of a backend.
///
/// # Safety
/// `out` is NULL or writable.
#[doc(hidden)]
pub unsafe fn query<B: Backend>(host_minor: u32, out: *mut *const abi::Backend) -> i32 {
    // Version 1.0 needs nothing newer than 1.0, so any host of this major will do.
    let _ = host_minor;
    guarded(None, || {
        if out.is_null() {
            return Err(Error::invalid("`out` is NULL"));
        }
        let table = table_of::<B>();
        // SAFETY: not NULL, and writable by the caller's promise.
        unsafe { *out = table };
        Ok(())
    })
}

fn make_table<B: Backend>() -> abi::Backend {
    let manifest = serde_json::json!(B::manifest()).to_string();
    abi::Backend {
        struct_size: size_of::<abi::Backend>() as u32,
        abi_minor: abi::MINOR,
        // Leaked once a backend: the table lives as long as the process.
        manifest_json: Str::borrow(manifest.leak()),
        create: Some(create::<B>),
        destroy: Some(destroy::<B>),
        describe: Some(describe::<B>),
        shapes: Some(shapes::<B>),
        run: Some(run::<B>),
        last_error: Some(last_error),
    }
}

unsafe extern "C" fn create<B: Backend>(host: *const abi::Host, config: Str, instance: *mut *mut c_void) -> c_int {
    guarded(None, || {
        if instance.is_null() {
            return Err(Error::invalid("`instance` is NULL"));
        }
        // SAFETY: the host promises a limbeck_host that outlives the instance.
        let host = unsafe { Host::from_raw(host) }?;
        // SAFETY: the host keeps the string alive during the call.
        let text = unsafe { config.bytes() }.ok_or_else(|| Error::invalid("config_json is NULL"))?;
        let config = serde_json::from_slice(text).map_err(|why| Error::invalid(format!("config_json: {why}")))?;
        let backend = B::create(&host, &config)?;
        let description = backend.describe();
        let description_json = serde_json::json!(description).to_string();
        let made = Box::new(Instance { backend, description, description_json, poison: OnceLock::new() });
        // SAFETY: not NULL, and writable by the host's promise.
        unsafe { *instance = Box::into_raw(made).cast() };
        Ok(())
    })
}

unsafe extern "C" fn destroy<B: Backend>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    guarded(None, || {
        // SAFETY: `create` made it with `Box::into_raw`, and the host promises that this is the last use.
        drop(unsafe { Box::from_raw(instance.cast::<Instance<B>>()) });
        Ok(())
    });
}

unsafe extern "C" fn describe<B: Backend>(instance: *mut c_void, json: *mut Str) -> c_int {
    // SAFETY: the host passes what `create` gave.
    let instance = unsafe { instance.cast::<Instance<B>>().as_ref() };
    in_instance(instance, |instance| {
        if json.is_null() {
            return Err(Error::invalid("`json` is NULL"));
        }
        // SAFETY: not NULL, and writable by the host's promise. The string lives as long as the instance.
        unsafe { *json = Str::borrow(&instance.description_json) };
        Ok(())
    })
}

unsafe extern "C" fn shapes<B: Backend>(
    instance: *mut c_void,
    op: u32,
    inputs: *const DLTensor,
    n_inputs: usize,
    outputs: *mut abi::Shape,
    n_outputs: usize,
) -> c_int {
    // SAFETY: the host passes what `create` gave.
    let instance = unsafe { instance.cast::<Instance<B>>().as_ref() };
    in_instance(instance, |instance| {
        // SAFETY: the host promises as many tensors as it counts.
        let inputs = unsafe { borrowed(inputs, n_inputs, "inputs") }?;
        // SAFETY: inputs keep the header's promises; their data is not looked at.
        let operation = unsafe { dispatch::Operation::parse(op, inputs, n_outputs, false) }?;
        let shapes = operation.output_shapes(&instance.description)?;
        if outputs.is_null() {
            return Err(Error::invalid("`outputs` is NULL"));
        }
        for (index, shape) in shapes.into_iter().take(n_outputs).enumerate() {
            // SAFETY: not NULL, and writable for `n_outputs` shapes by the host's promise.
            unsafe { *outputs.add(index) = shape };
        }
        Ok(())
    })
}

unsafe extern "C" fn run<B: Backend>(
    instance: *mut c_void,
    op: u32,
    exec: *const abi::Exec,
    inputs: *const DLTensor,
    n_inputs: usize,
    outputs: *mut DLTensor,
    n_outputs: usize,
) -> c_int {
    // SAFETY: the host passes what `create` gave.
    let instance = unsafe { instance.cast::<Instance<B>>().as_ref() };
    in_instance(instance, |instance| {
        // SAFETY: the host promises a valid limbeck_exec.
        let exec = unsafe { Exec::from_raw(exec) }?;
        // SAFETY: the host promises as many tensors as it counts.
        let (inputs, outputs) =
            unsafe { (borrowed(inputs, n_inputs, "inputs")?, borrowed(outputs.cast_const(), n_outputs, "outputs")?) };
        // SAFETY: inputs keep the header's promises.
        let operation = unsafe { dispatch::Operation::parse(op, inputs, n_outputs, true) }?;
        // SAFETY: outputs keep the header's promises: nothing else touches them during the call.
        unsafe { operation.run(&instance.backend, &instance.description, &exec, outputs) }
    })
}

unsafe extern "C" fn last_error(_instance: *mut c_void) -> Str {
    // Every failure sets the message of its own thread, so the instance makes no difference. A thread that is ending
    // has no message.
    LAST_ERROR.try_with(|message| Str::borrow(&message.borrow())).unwrap_or(Str::EMPTY)
}

/// # Safety
/// A pointer that is not NULL is readable for `count` tensors throughout `'a`.
unsafe fn borrowed<'a>(tensors: *const DLTensor, count: usize, what: &str) -> Result<&'a [DLTensor]> {
    const MOST: usize = 8;
    if tensors.is_null() || !(1..=MOST).contains(&count) {
        return Err(Error::invalid(format!("{count} {what} at {tensors:?}")));
    }
    // SAFETY: not NULL, and readable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(tensors, count) })
}

fn in_instance<B>(instance: Option<&Instance<B>>, call: impl FnOnce(&Instance<B>) -> Result<()>) -> c_int {
    let Some(instance) = instance else {
        return guarded(None, || Err(Error::invalid("`instance` is NULL")));
    };
    if let Some(panic) = instance.poison.get() {
        remember(format!("unusable since an earlier panic: {panic}"));
        return abi::POISONED;
    }
    guarded(Some(&instance.poison), || call(instance))
}

/// Calls, remembers the message of a failure, and turns a panic into poison.
fn guarded(poison: Option<&OnceLock<String>>, call: impl FnOnce() -> Result<()>) -> c_int {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(error)) => {
            remember(error.message);
            error.code
        }
        Err(payload) => {
            let message = panic_message(payload);
            if let Some(poison) = poison {
                // A second panic at the same time keeps the first one's message.
                let _ = poison.set(message.clone());
            }
            remember(format!("it panicked: {message}"));
            abi::POISONED
        }
    }
}

fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_owned(),
    };
    // The payload may be of a type whose drop panics too; better to lose its memory.
    std::mem::forget(payload);
    message
}

fn remember(message: String) {
    // A thread that is ending has no place for it, and nobody left to ask.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
}
