//! What a policy in Rust meets in the sandbox: its panics reach the user, and the standard library finds nobody at home.

#[path = "common/components.rs"]
mod components;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use components::component;
use limbeck::policy::{
    Columns, Env, Level, Limits, Policy, PolicyError, PolicyInstance, Sandbox, Source, When, compute,
};

type Lines = Arc<Mutex<Vec<(Level, String)>>>;

fn start(policy: &Policy, deed: &str) -> (PolicyInstance, Lines) {
    let lines = Lines::default();
    let into = lines.clone();
    let log = Arc::new(move |level, line: &str| into.lock().unwrap().push((level, line.to_owned())));
    let env = Env { config_json: format!("{{\"deed\": \"{deed}\"}}"), classes: 2, feature_dim: 0, total_steps: 9 };
    let limits = Limits { fuel: 500_000_000, memory: 32 << 20, time: Duration::from_secs(300) };
    (policy.start(&env, 0, &limits, log).unwrap(), lines)
}

/// Compiled once for all tests.
fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| Policy::open(&Sandbox::new().unwrap(), &component("hostile")).unwrap())
}

fn rows() -> Columns {
    let source = Source { classes: 2, class: &[0, 1], id: &[0, 1], teacher: None, ..Source::default() };
    compute(&source, &[]).unwrap()
}

const STEP: When = When { round: 0, epoch: 1, step: 5 };

/// What came of a deed, and the lines in the log.
type Outcome = (Result<Vec<f32>, PolicyError>, Vec<(Level, String)>);

fn weigh(deed: &str) -> Outcome {
    let (mut instance, lines) = start(policy(), deed);
    let result = instance.weigh(rows(), STEP);
    let lines = lines.lock().unwrap().clone();
    (result, lines)
}

#[track_caller]
fn crash(deed: &str) -> String {
    let (result, lines) = weigh(deed);
    let error = result.unwrap_err();
    assert!(matches!(error, PolicyError::Trap { .. }), "{error:?}");
    assert!(lines.iter().any(|(level, _)| *level == Level::Error), "{lines:?}");
    error.to_string()
}

#[test]
fn a_panic_reaches_the_user_with_message_and_line() {
    let message = crash("panic");
    assert!(message.contains("crashed in `weigh`: panicked at"), "{message}");
    assert!(
        message.contains("tests/hostile-policy/src/lib.rs:") && message.contains("step 5 is too much"),
        "{message}"
    );
    assert!(crash("index").contains("index out of bounds: the len is 2 but the index is 9"));
}

#[test]
fn too_much_memory_ends_the_call() {
    let error = weigh("exhaust").0.unwrap_err();
    assert!(matches!(error, PolicyError::OutOfMemory { .. }), "{error:?}");
    assert!(error.to_string().contains("at most 32.0 MiB are allowed"), "{error}");
}

#[test]
fn files_network_and_threads_are_not_there() {
    for deed in ["read-file", "write-file", "connect", "spawn"] {
        let error = weigh(deed).0.unwrap_err();
        assert!(matches!(error, PolicyError::Refused { .. } | PolicyError::Forbidden { .. }), "{deed}: {error:?}");
    }
    let error = weigh("exit").0.unwrap_err();
    assert!(matches!(&error, PolicyError::Forbidden { what, .. } if what.starts_with("wasi:cli/exit")), "{error:?}");
    assert!(!std::path::Path::new("/tmp/limbeck-hostile").exists());
}

#[test]
fn environment_arguments_clocks_and_folders_are_empty() {
    assert_eq!(weigh("look-around").0.unwrap(), [1.0, 1.0]);
}

#[test]
fn prints_go_to_the_log_and_steer_nothing() {
    let (result, lines) = weigh("print");
    result.unwrap();
    assert_eq!(lines, [(Level::Info, "to stdout [2J".to_owned()), (Level::Info, "to stderr".to_owned())]);
}

#[test]
fn state_is_saved_and_restored() {
    let (mut first, _) = start(policy(), "count");
    for want in [1.0, 2.0] {
        assert_eq!(first.weigh(rows(), STEP).unwrap(), [want; 2]);
    }
    let state = first.save().unwrap();
    let (mut second, _) = start(policy(), "count");
    second.restore(2, &state).unwrap();
    assert_eq!(second.weigh(rows(), STEP).unwrap(), [3.0; 2]);

    for (version, state) in [(1, state.as_slice()), (2, b"garbage")] {
        let error = second.restore(version, state).unwrap_err();
        assert!(matches!(error, PolicyError::Refused { call: "restore", .. }), "{error:?}");
    }
    assert_eq!(second.weigh(rows(), STEP).unwrap(), [4.0; 2], "a failed restore keeps the old state");
}

/// The program watches for crashes of plugins; a policy's trap is a signal as well, and wasmtime's.
#[test]
fn a_panic_is_no_crash_of_the_program() {
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_limbeck"));
    let check = check.args(["policy", "check", "--config", "deed=panic"]).arg(component("hostile"));
    let output = check.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("crashed in `weigh`: panicked at") && !stderr.contains("SIG"), "{stderr}");
}
