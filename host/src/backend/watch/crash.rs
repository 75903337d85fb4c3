//! Crashes: the kernel calls [`on_crash`] on the thread that made the fault, which knows what plugin it is in. The handler
//! says so and gives the signal its default back, and the fault happens again: the process ends as it would have ended
//! without us, with the signal that a shell or a debugger expects.
//!
//! Within the handler nothing is allocated, and no lock is waited for.

use std::io::IoSlice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, c_int, c_void, siginfo_t};

use super::{OPENED, WITHIN, lock};

/// What ends a process from within, its name, and what it means to whoever has to mend the plugin.
const CRASHES: [(c_int, &str, &str); 6] = [
    (SIGSEGV, "SIGSEGV", "memory that is not there was used, or all of the stack"),
    (SIGBUS, "SIGBUS", "memory that is not there was used: an unaligned pointer, or a mapped file that became shorter"),
    (SIGILL, "SIGILL", "an instruction that this processor doesn't have, or a trap: build it for this processor"),
    (SIGTRAP, "SIGTRAP", "a trap: the compiler put it where the code must never come"),
    (SIGFPE, "SIGFPE", "an integer was divided by zero, or out of its range"),
    (
        SIGABRT,
        "SIGABRT",
        "`abort` was called: a failed assertion, a panic of a crate built to abort, no memory left, or broken memory",
    ),
];

/// How long a thread that crashes waits for another that does, and has its line to say.
const PATIENCE_MS: c_int = 200;

/// What was there before us.
static BEFORE: [OnceLock<libc::sigaction>; CRASHES.len()] = [const { OnceLock::new() }; CRASHES.len()];

/// The process that watches: its children crash on their own account.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Whether the line is said, or about to be.
static SAID: AtomicBool = AtomicBool::new(false);

pub(super) fn watch() {
    // Some systems allocate for a lock that is taken for the first time.
    drop(lock(&OPENED));
    PROCESS.store(std::process::id(), Ordering::Relaxed);
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
    // SAFETY: the kernel gives what SA_SIGINFO asks for; of a signal that was sent, the sender is known.
    let (sent, by) = unsafe { ((*info).si_code <= 0, if (*info).si_code <= 0 { (*info).si_pid() } else { 0 }) };
    let ours = !sent || u32::try_from(by) == Ok(process);
    if ours && process == PROCESS.load(Ordering::Relaxed) {
        if SAID.swap(true, Ordering::Relaxed) {
            // SAFETY: allowed in a handler; it only waits.
            unsafe { libc::poll(std::ptr::null_mut(), 0, PATIENCE_MS) };
        } else {
            tell(kind);
        }
    }
    // Outside of plugins Rust's own handler has a word to say about stacks that are used up.
    let before = BEFORE[kind].get().filter(|_| !sent && WITHIN.get().is_none());
    // SAFETY: all zeroes are the default action; the pointer is to a struct that is never changed again. A signal that was
    // sent (`abort` sends one) does not come again by itself; the one that is raised waits until this function returns.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, before.unwrap_or(&default), std::ptr::null_mut());
        if sent {
            libc::raise(signal);
        }
    }
}

/// One line on stderr. Of a crash with no plugin opened, nothing.
fn tell(kind: usize) {
    let (_, name, meaning) = CRASHES[kind];
    let mut line = Line::new();
    // SAFETY: allowed in a handler.
    if unsafe { libc::isatty(libc::STDERR_FILENO) } == 1 {
        // Behind a bar that moves.
        line.add(&["\n"]);
    }
    if let Some((plugin, function)) = WITHIN.get() {
        line.add(&["error: plugin `", plugin, "` crashed in `", function, "` with ", name, ": ", meaning]);
        return line.say();
    }
    let Ok(opened) = OPENED.try_lock() else { return };
    if opened.is_empty() {
        return;
    }
    line.add(&["error: ", name, ", not within a call into a plugin: ", meaning]);
    line.add(&["; by limbeck itself, or on a thread of a plugin's own:"]);
    for plugin in opened.iter() {
        line.add(&[" `", plugin, "`"]);
    }
    line.say();
}

/// Pieces of a line, as many as fit.
struct Line {
    parts: [IoSlice<'static>; Self::MOST],
    len: usize,
}

impl Line {
    const MOST: usize = 40;

    fn new() -> Self {
        Self { parts: [IoSlice::new(&[]); Self::MOST], len: 0 }
    }

    fn add(&mut self, parts: &[&'static str]) {
        for part in parts {
            // The last place is for the end.
            if self.len < Self::MOST - 1 {
                self.parts[self.len] = IoSlice::new(part.as_bytes());
                self.len += 1;
            }
        }
    }

    /// In one call, so that no other thread's words come between. Who can't be told isn't.
    fn say(mut self) {
        self.parts[self.len] = IoSlice::new(b"; finished work is kept\n");
        // SAFETY: an `IoSlice` has the layout of an `iovec`, and each is of readable bytes.
        let _ = unsafe { libc::writev(libc::STDERR_FILENO, self.parts.as_ptr().cast(), Self::MOST as c_int) };
    }
}
