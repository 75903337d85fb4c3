//! A plugin that ends the program by `exit`: to a script that would look like success, with half of the work undone.
//!
//! The C library calls [`at_exit`] on the thread that ends the process. Whoever ends it of the host has dropped its
//! [`ExitWatch`] before, or ends it by `_exit`, as `interrupt` does.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, Once};

use signal_hook::low_level;

use crate::progress::Progress;

/// Who is told, and of the end of which process: a plugin's child that ends is none of ours.
static WATCH: Mutex<Option<(Progress, u32)>> = Mutex::new(None);

/// The plugins that were opened in this process.
static OPENED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

thread_local! {
    /// The plugin and the function that this thread is in. Without a destructor, so that it can be read at the end.
    static WITHIN: Cell<Option<(&'static str, &'static str)>> = const { Cell::new(None) };
}

/// As long as this lives, a process that ends by `exit` ends with exit code 1 and a line on stderr that says which plugin did it.
#[must_use = "dropped, it says that from now on the program itself may end"]
pub struct ExitWatch(());

/// Begins to watch, for `main`: the program ends after it has dropped what this gives. `progress` tells the line.
pub fn watch_exit(progress: &Progress) -> ExitWatch {
    *lock(&WATCH) = Some((progress.clone(), std::process::id()));
    ExitWatch(())
}

impl Drop for ExitWatch {
    fn drop(&mut self) {
        *lock(&WATCH) = None;
    }
}

/// What a plugin is called for as long as the process lives, as the plugin itself does. To be asked before it is loaded.
pub(super) fn opened(plugin: &str) -> &'static str {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function is this program's, which is never unloaded. A C library without room for it watches nothing.
        let _ = unsafe { libc::atexit(at_exit) };
    });
    let mut opened = lock(&OPENED);
    if let Some(known) = opened.get(plugin) {
        return known;
    }
    let name: &'static str = plugin.to_owned().leak();
    opened.insert(name);
    name
}

/// Calls into a plugin.
pub(super) fn within<R>(plugin: &'static str, function: &'static str, call: impl FnOnce() -> R) -> R {
    let before = WITHIN.replace(Some((plugin, function)));
    let result = call();
    WITHIN.set(before);
    result
}

extern "C" fn at_exit() {
    let Some((progress, process)) = lock(&WATCH).take() else { return };
    if process != std::process::id() {
        return;
    }
    let who = match WITHIN.get() {
        Some((plugin, function)) => format!("plugin `{plugin}` called `exit` in `{function}`"),
        None => {
            let opened: Vec<String> = lock(&OPENED).iter().map(|plugin| format!("`{plugin}`")).collect();
            format!("a thread of a plugin's own called `exit` (opened: {})", opened.join(", "))
        }
    };
    progress.last_word(format_args!(
        "error: {who}, which ends the whole program: return an error code instead (finished work is kept)"
    ));
    low_level::exit(1)
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
