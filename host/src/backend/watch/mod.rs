//! Plugins that end the program: by `exit`, which would look like success to a script with half of the work undone, and
//! by a crash, of which a shell says no more than "Segmentation fault". Both get a line that says which plugin it was.

mod crash;
mod exit;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

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
pub struct PluginWatch(());

/// Begins to watch, for `main`: the program ends after it has dropped what this gives. `progress` tells the line.
///
/// From now on a crash says which plugin it happened in, too. To be called before the first policy is opened: the traps
/// of a policy are wasmtime's, which hands on the others.
pub fn watch_plugins(progress: &Progress) -> PluginWatch {
    *lock(&WATCH) = Some((progress.clone(), std::process::id()));
    exit::watch();
    crash::watch();
    PluginWatch(())
}

impl Drop for PluginWatch {
    fn drop(&mut self) {
        *lock(&WATCH) = None;
    }
}

/// What a plugin is called for as long as the process lives, as the plugin itself does. To be asked before it is loaded.
pub(super) fn opened(plugin: &str) -> &'static str {
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
