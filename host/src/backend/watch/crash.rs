//! Crashes: the kernel calls [`on_crash`] on the thread that made the fault, which knows what plugin it is in. The handler
//! says so, puts back what was there before it, and the fault happens again: the process ends as it would have ended
//! without us, with the signal that a shell or a debugger expects.
//!
//! Within the handler nothing is locked that could be held, and nothing allocated.

use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, c_int, c_void, siginfo_t};

use super::{OPENED, WITHIN};

/// What ends a process from within, its name, and what it means to whoever has to mend the plugin.
const CRASHES: [(c_int, &str, &str); 5] = [
    (SIGSEGV, "SIGSEGV", "it used memory that is not there, or all of its stack"),
    (SIGBUS, "SIGBUS", "it used memory that is not there: an unaligned pointer, or a mapped file that became shorter"),
    (
        SIGILL,
        "SIGILL",
        "it met an instruction that this processor doesn't have, or a trap: build it for this processor",
    ),
    (SIGFPE, "SIGFPE", "it divided an integer by zero"),
    (SIGABRT, "SIGABRT", "it called `abort`: a failed assertion, a panic of a crate built to abort, or broken memory"),
];

/// What was there before us.
static BEFORE: [OnceLock<libc::sigaction>; CRASHES.len()] = [const { OnceLock::new() }; CRASHES.len()];

/// The process that watches, until it has said its line.
static WATCHING: AtomicU32 = AtomicU32::new(0);

pub(super) fn watch() {
    WATCHING.store(std::process::id(), Ordering::Relaxed);
    for ((signal, ..), before) in CRASHES.iter().zip(&BEFORE) {
        before.get_or_init(|| {
            // SAFETY: an empty set of signals, no flags and no function are a valid `sigaction`, as the two calls fill it.
            let (mut ours, mut before): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
            ours.sa_sigaction = on_crash as *const () as usize;
            // On the thread's signal stack where it has one: its own may be used up.
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: both structs are writable, and the function is this program's, which is never unloaded. A signal
            // that can't be handled keeps its default, which `before` then is as well.
            unsafe {
                libc::sigemptyset(&mut ours.sa_mask);
                libc::sigaction(*signal, &ours, &mut before);
            }
            before
        });
    }
}

extern "C" fn on_crash(signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    let Some(kind) = CRASHES.iter().position(|(known, ..)| *known == signal) else { return };
    let process = std::process::id();
    if WATCHING.compare_exchange(process, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        tell(kind);
    }
    // Without what was before, the default: the process ends.
    // SAFETY: all zeroes are the default action; the pointer is to a struct that is never changed again.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, BEFORE[kind].get().unwrap_or(&default), std::ptr::null_mut());
    }
    // A signal that was sent does not come again by itself: `abort`, or another process.
    // SAFETY: the kernel gives what SA_SIGINFO asks for.
    if unsafe { (*info).si_code } <= 0 {
        // SAFETY: allowed in a handler; the signal waits until this one returns.
        unsafe { libc::raise(signal) };
    }
}

/// One line on stderr, in pieces: a buffer would have to be allocated. Of a crash with no plugin opened, nothing.
fn tell(kind: usize) {
    let (_, name, meaning) = CRASHES[kind];
    // SAFETY: allowed in a handler.
    if unsafe { libc::isatty(libc::STDERR_FILENO) } == 1 {
        // Behind a bar that moves.
        say("\n");
    }
    match WITHIN.get() {
        Some((plugin, function)) => {
            for part in ["error: plugin `", plugin, "` crashed in `", function, "` with ", name, ": ", meaning] {
                say(part);
            }
        }
        None => {
            let Ok(opened) = OPENED.try_lock() else { return };
            if opened.is_empty() {
                return;
            }
            for part in ["error: ", name, " outside of the calls into plugins, perhaps on a thread of one of them"] {
                say(part);
            }
            for (at, plugin) in opened.iter().enumerate() {
                for part in [if at == 0 { " (`" } else { ", `" }, plugin, "`"] {
                    say(part);
                }
            }
            say(")");
        }
    }
    say("; finished work is kept\n");
}

fn say(text: &str) {
    const STDERR: RawFd = libc::STDERR_FILENO;
    // SAFETY: a readable buffer of this length. Who can't be told isn't.
    let _ = unsafe { libc::write(STDERR, text.as_ptr().cast(), text.len()) };
}
