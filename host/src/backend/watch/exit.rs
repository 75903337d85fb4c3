//! `exit`: the C library calls [`at_exit`] on the thread that ends the process. Whoever ends it of the host has dropped its
//! [`PluginWatch`](super::PluginWatch) before, or ends it by `_exit`, as `interrupt` does.

use std::sync::Once;

use signal_hook::low_level;

use super::{OPENED, WATCH, WITHIN, lock};

pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function is this program's, which is never unloaded. A C library without room for it watches nothing.
        let _ = unsafe { libc::atexit(at_exit) };
    });
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
