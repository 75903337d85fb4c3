//! Plugins that crash. The process ends with the signal, as a shell and a debugger expect, behind a line that names the plugin.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

use crate::support::{Hostile, limbeck};

/// A compiler that sees where the pointer leads warns.
const NULL: &str = "int *volatile nowhere = 0; *(volatile int *)nowhere = 1";

fn check(defines: &[(&str, &str)]) -> Output {
    let plugin = Hostile::new(defines);
    limbeck(&["backend", "check", &plugin.path().display().to_string()])
}

/// It ended with this signal, and this one line on stderr behind what else was said.
#[track_caller]
fn tells(output: &Output, signal: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(signal), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && last.contains(part) && last.contains("libhostile.so"), "{stderr}");
    assert_eq!(stderr.matches("; finished work is kept").count(), 1, "{stderr}");
}

#[test]
fn wherever_a_plugin_crashes_it_is_named() {
    let starter: &str = &format!("}} __attribute__((constructor)) static void first(void) {{ {NULL}");
    for (place, body, function) in [
        ("DESTROY", starter, "dlopen"),
        ("QUERY", NULL, "limbeck_backend_query_v1"),
        ("CREATE", NULL, "create"),
        ("DESCRIBE", NULL, "describe"),
        ("SHAPES", NULL, "shapes"),
        ("RUN", NULL, "run"),
        ("DESTROY", NULL, "destroy"),
    ] {
        tells(&check(&[(place, body)]), libc::SIGSEGV, &format!("crashed in `{function}` with SIGSEGV: memory"));
    }
    let single = [("RUN", NULL), ("THREADS", r#""\"single\"""#)];
    tells(&check(&single), libc::SIGSEGV, "crashed in `run` with SIGSEGV");
}

#[test]
fn what_it_did_is_said() {
    let deep = "} int deep(int n) { volatile char room[200]; room[n] = 1; return n ? deep(n) + room[0] : 0";
    for (body, signal, part) in [
        ("abort()", libc::SIGABRT, "with SIGABRT: `abort` was called"),
        ("raise(SIGSEGV)", libc::SIGSEGV, "with SIGSEGV: memory that is not there was used"),
        ("raise(SIGBUS)", libc::SIGBUS, "with SIGBUS: memory that is not there was used"),
        ("raise(SIGILL)", libc::SIGILL, "with SIGILL: an instruction that this processor doesn't have"),
        ("raise(SIGTRAP)", libc::SIGTRAP, "with SIGTRAP: a trap"),
        ("raise(SIGFPE)", libc::SIGFPE, "with SIGFPE: an integer was divided by zero"),
        ("int deep(int n); deep(1)", libc::SIGSEGV, "memory that is not there was used, or all of the stack"),
    ] {
        // Nothing is asked after the one call of `query`.
        let plugin = Hostile::new(&[("DESTROY", deep), ("QUERY", body)]);
        let output = limbeck(&["backend", "inspect", &plugin.path().display().to_string()]);
        tells(&output, signal, "crashed in `limbeck_backend_query_v1`");
        tells(&output, signal, part);
    }
}

/// As the threads of a kernel do that were given one bad pointer.
#[test]
fn threads_that_crash_at_once_say_one_whole_line() {
    let own = &format!(
        "}} static pthread_barrier_t all; \
         static void *own(void *nothing) {{ pthread_barrier_wait(&all); {NULL}; return nothing"
    );
    let four = "pthread_barrier_init(&all, 0, 4); pthread_t own_threads[4]; \
                for (int k = 0; k < 4; k++) pthread_create(own_threads + k, 0, own, 0); \
                for (int k = 0; k < 4; k++) pthread_join(own_threads[k], 0)";
    let plugin = Hostile::new(&[("DESTROY", own), ("RUN", four)]);
    for _ in 0..20 {
        let output = limbeck(&["backend", "check", &plugin.path().display().to_string()]);
        tells(&output, libc::SIGSEGV, "on a thread of a plugin's own:");
    }
}

/// Whoever sends a signal knows why.
#[test]
fn a_signal_from_elsewhere_is_not_the_plugins() {
    let body = "if (!fork()) { kill(getppid(), SIGABRT); _exit(0); } pause()";
    let plugin = Hostile::new(&[("QUERY", body)]);
    let output = limbeck(&["backend", "inspect", &plugin.path().display().to_string()]);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_thread_of_its_own_that_crashes() {
    let own: &str = &format!("}} static void *own(void *nothing) {{ {NULL}; return nothing");
    let wait = "pthread_t thread; pthread_create(&thread, 0, own, 0); pthread_join(thread, 0)";
    let output = check(&[("DESTROY", own), ("RUN", wait)]);
    tells(&output, libc::SIGSEGV, "SIGSEGV, not within a call into a plugin");
}

#[test]
fn what_a_plugins_child_does_is_its_own_business() {
    let plugin = Hostile::new(&[("QUERY", "if (!fork()) abort()")]);
    let output = limbeck(&["backend", "inspect", &plugin.path().display().to_string()]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// Wasmtime's handlers stand before those for plugins.
#[test]
fn a_plugin_may_crash_after_a_policy_was_opened() {
    let digits = r#""{\"classes\":10,\"input\":{\"channels\":1,\"height\":28,\"width\":28}}""#;
    let shape = "out->dims[1] = 10";
    let plugin = Hostile::new(&[("DESCRIPTION", digits), ("SHAPES", shape), ("RUN", NULL)]);
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().display().to_string();
    let teacher = format!("teacher.plugin=\"{}\"", plugin.path().display());
    let settings = [&teacher, "synth.images=10", "synth.steps=1", "teacher.weights="];
    let settings = settings.into_iter().flat_map(|setting| ["--set", setting]);
    let arguments = ["--quiet", "run", "recipes/mnist.toml", "--out", &out];
    let output = limbeck(&arguments.into_iter().chain(settings).collect::<Vec<_>>());
    tells(&output, libc::SIGSEGV, "crashed in `run` with SIGSEGV");
}
