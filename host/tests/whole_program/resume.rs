//! `kill -9` at many moments: the same command goes on, and the results are those of an uninterrupted run, byte for byte.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{finish, json, results, run, train};

/// Starts a command and kills it after `delay`; whether it was killed before it ended.
fn kill_after(mut command: Command, delay: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("limbeck starts");
    std::thread::sleep(delay);
    let ended = child.try_wait().expect("the process is ours").is_some();
    child.kill().expect("SIGKILL");
    child.wait().expect("the process is ours");
    !ended
}

#[track_caller]
pub fn wait_for(path: &Path) {
    let patience = Instant::now();
    while !path.exists() {
        assert!(patience.elapsed() < Duration::from_secs(300), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
pub fn assert_same(found: &Path, expected: &Path) {
    let (found, expected) = (results(found), results(expected));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, bytes) in &expected {
        assert!(&found[path] == bytes, "{} differs after an interruption", path.display());
    }
}

/// Kills the command over and over, a little later each time: it must get through in the end, with the bytes of an
/// uninterrupted one.
#[track_caller]
pub fn check_kills(kills: u32, command: impl Fn(&Path) -> Command) {
    let scratch = tempfile::tempdir().unwrap();
    let whole = scratch.path().join("whole");
    let started = Instant::now();
    finish(command(&whole));
    let time = started.elapsed();

    let out = scratch.path().join("killed");
    // Short enough for the first ones to come in time where the uninterrupted run shared its cores and these don't.
    let early = (1..=kills).filter(|&i| kill_after(command(&out), time * i / (4 * kills))).count();
    assert!(early >= 3, "only {early} of {kills} kills came before the end");
    finish(command(&out));
    assert_same(&out, &whole);
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    check_kills(12, |out| run(out, &[]));
}

/// What the teacher said before a kill is found again, or asked again, without a trace in the results.
#[test]
fn a_killed_run_with_kept_answers_ends_with_the_same_bytes() {
    check_kills(6, |out| run(out, &["distill.cache.variations=2", "baseline.real=false"]));
}

/// Resume points at steps where no line of the log is due: what a line sums up must survive as well.
#[test]
fn a_killed_training_of_a_classifier_ends_with_the_same_bytes() {
    let settings = ["train.images=4000", "train.epochs=6", "train.batch=32", "train.checkpoint-every=7"];
    check_kills(8, |out| train("classifier", "recipes/train-teacher-middle.toml", &settings, out));
}

#[test]
fn a_killed_training_of_a_generator_ends_with_the_same_bytes() {
    let digits = r#"data.train={ images = "../assets/mnist/t10k-images-idx3-ubyte.gz", labels = "../assets/mnist/t10k-labels-idx1-ubyte.gz" }"#;
    let model = "train.model={ patch = 7, width = 16, depth = 1, heads = 2 }";
    let settings = [digits, model, "train.epochs=3", "train.batch=40", "train.checkpoint-every=7"];
    check_kills(8, |out| train("generator", "recipes/mnist-generator.toml", &settings, out));
}

#[test]
fn each_stage_survives_a_kill_of_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = scratch.path().join("whole");
    finish(run(&whole, &[]));
    // Killed when a file of the stage has just appeared: after the first shard, the subset, a student's resume point, the
    // evaluation.
    let moments = ["pool/round-000/index.json", "subset/round-000.json", "checkpoints/synthetic/seed-0", "eval.json"];
    let mut early = 0;
    for (i, moment) in moments.iter().enumerate() {
        let out = scratch.path().join(format!("killed-{i}"));
        let mut command = run(&out, &[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("limbeck starts");
        wait_for(&out.join(moment));
        early += u32::from(child.try_wait().expect("the process is ours").is_none());
        child.kill().expect("SIGKILL");
        child.wait().expect("the process is ours");
        finish(run(&out, &[]));
        assert_same(&out, &whole);
        for policy in ["select", "weigher"] {
            let calls = |out| json(out, "summary.json")["policies"][policy]["calls"].as_u64().expect("a number");
            assert_eq!(calls(&out), calls(&whole), "{policy}, killed at {moment}");
        }
    }
    // The last moment is close to the end.
    assert!(early >= 3, "only {early} kills came before the end");
}

/// A limit on the size of files stands for a full disk: the resume points of a training don't fit. (A training, because a run
/// also copies its plugins, which are larger.)
#[test]
#[cfg(unix)]
fn a_disk_that_fills_up_loses_nothing() {
    let settings = ["train.images=2000", "train.epochs=2", "train.batch=32", "train.checkpoint-every=7"];
    let command = |out: &Path| train("classifier", "recipes/train-teacher-middle.toml", &settings, out);
    let scratch = tempfile::tempdir().unwrap();
    let (whole, out) = (scratch.path().join("whole"), scratch.path().join("full"));
    finish(command(&whole));

    let roomy = command(&out);
    let mut tight = Command::new("sh");
    // 512-byte blocks. Rust programs take the signal of the limit for an error of the write when it is ignored.
    tight.args(["-c", r#"trap "" XFSZ; ulimit -f 300; exec "$0" "$@""#]).arg(roomy.get_program());
    tight.args(roomy.get_args()).current_dir(crate::support::root());
    let output = tight.output().expect("a shell");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("state.safetensors") && message.contains("free some space"), "{message}");
    finish(roomy);
    assert_same(&out, &whole);
}
