//! Plugins that end the program. By `exit(0)` it would end with the exit code of success and without a word.

use std::process::Output;

use crate::support::{Hostile, limbeck};

/// It ended with 1, and this one line on stderr, behind what else was said.
#[track_caller]
fn tells(output: &Output, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && last.contains(part) && last.contains("libhostile.so"), "{stderr}");
    assert_eq!(stderr.matches("which ends the whole program: return an error code instead").count(), 1, "{stderr}");
}

#[test]
fn wherever_a_plugin_exits_it_is_named() {
    let starter = "} __attribute__((constructor)) static void first(void) { exit(0)";
    for (place, body, function) in [
        ("DESTROY", starter, "dlopen"),
        ("QUERY", "exit(0)", "limbeck_backend_query_v1"),
        ("CREATE", "exit(0)", "create"),
        ("DESCRIBE", "exit(0)", "describe"),
        ("SHAPES", "exit(0)", "shapes"),
        ("RUN", "exit(0)", "run"),
        ("RUN", "exit(7)", "run"),
        ("DESTROY", "exit(0)", "destroy"),
    ] {
        let plugin = Hostile::new(&[(place, body)]);
        let output = limbeck(&["backend", "check", "--json", &plugin.path().display().to_string()]);
        assert!(output.stdout.is_empty() || function == "destroy");
        tells(&output, &format!("called `exit` in `{function}`"));
    }
    let single = Hostile::new(&[("RUN", "exit(0)"), ("THREADS", r#""\"single\"""#)]);
    tells(&limbeck(&["backend", "check", &single.path().display().to_string()]), "called `exit` in `run`");
}

#[test]
fn a_thread_of_its_own_that_exits() {
    let own = "} static void *own(void *nothing) { exit(0); return nothing";
    let wait = "pthread_t thread; pthread_create(&thread, 0, own, 0); pthread_join(thread, 0)";
    let plugin = Hostile::new(&[("DESTROY", own), ("RUN", wait)]);
    let output = limbeck(&["backend", "check", &plugin.path().display().to_string()]);
    tells(&output, "a thread of a plugin's own called `exit`");
}

#[test]
fn what_a_plugins_child_does_is_its_own_business() {
    let plugin = Hostile::new(&[("QUERY", "if (!fork()) exit(0)")]);
    let output = limbeck(&["backend", "inspect", &plugin.path().display().to_string()]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_run_whose_teacher_exits_fails() {
    let digits = r#""{\"classes\":10,\"input\":{\"channels\":1,\"height\":28,\"width\":28}}""#;
    let shape = "out->dims[1] = 10";
    let plugin = Hostile::new(&[("DESCRIPTION", digits), ("SHAPES", shape), ("RUN", "exit(0)")]);
    let scratch = tempfile::tempdir().unwrap();
    let teacher = format!("teacher.plugin=\"{}\"", plugin.path().display());
    let settings =
        [&teacher, "synth.images=10", "synth.steps=1", "select.policy=", "distill.weigher=", "teacher.weights="];
    let out = scratch.path().display().to_string();
    let arguments = ["--quiet", "run", "recipes/mnist.toml", "--out", &out];
    let settings = settings.into_iter().flat_map(|setting| ["--set", setting]);
    tells(&limbeck(&arguments.into_iter().chain(settings).collect::<Vec<_>>()), "called `exit` in `run`");
}
