//! Ctrl-C and SIGTERM: a word, an exit code, and nothing that the same command doesn't take up.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use limbeck::interrupt::ignores;

use crate::resume::{assert_same, wait_for};
use crate::support::{finish, root, run, train};

const SIGINT: i32 = 2;

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("limbeck starts")
}

/// Sends a signal by its name, and waits for the end.
#[track_caller]
fn send(child: Child, signal: &str) -> Output {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.expect("a program `kill`").success());
    child.wait_with_output().expect("the process is ours")
}

/// Interrupts the command as soon as `moment` is there: it says so in one line, and the same command ends with the bytes of an
/// uninterrupted one.
#[track_caller]
fn check(signal: &str, code: i32, moment: &str, command: impl Fn(&Path) -> Command) {
    let scratch = tempfile::tempdir().unwrap();
    let (whole, out) = (scratch.path().join("whole"), scratch.path().join("out"));
    finish(command(&whole));
    let child = start(&mut command(&out));
    wait_for(&out.join(moment));
    let output = send(child, signal);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    let word = format!(
        "interrupted by SIG{signal}: nothing is lost but what came after the last resume point, and the same command goes on \
         from there\n"
    );
    assert!(message.ends_with(&word) && message.matches("interrupted").count() == 1, "{message}");
    finish(command(&out));
    assert_same(&out, &whole);
}

fn training(out: &Path) -> Command {
    let settings = ["train.images=4000", "train.epochs=6", "train.batch=32", "train.checkpoint-every=7"];
    train("classifier", "recipes/train-teacher-middle.toml", &settings, out)
}

#[test]
fn a_training_that_is_terminated_goes_on() {
    check("TERM", 143, "state.safetensors", training);
}

#[test]
fn a_run_that_is_interrupted_goes_on() {
    if ignores(SIGINT) {
        eprintln!("not tried: whoever runs this test ignores SIGINT, and so do the programs that it starts");
        return;
    }
    check("INT", 130, "subset/round-000.json", |out| run(out, &[]));
}

/// As in the jobs that a script puts into the background: Ctrl-C is for the script then.
#[test]
fn a_signal_that_is_ignored_stays_so() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let command = training(&out);
    let mut deaf = Command::new("sh");
    deaf.args(["-c", r#"trap "" INT; exec "$0" "$@""#]).arg(command.get_program()).args(command.get_args());
    let child = start(deaf.current_dir(root()));
    wait_for(&out.join("state.safetensors"));
    let output = send(child, "INT");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.join("classifier.safetensors").is_file());
}
