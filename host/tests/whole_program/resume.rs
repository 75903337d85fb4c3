//! `kill -9` at many moments: the same command goes on, and the results are those of an uninterrupted run, byte for byte.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{finish, results, run};

/// Starts the run and kills it after `delay`; whether it was killed before it ended.
fn kill_after(out: &Path, delay: Duration) -> bool {
    let mut child = run(out, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("limbeck starts");
    std::thread::sleep(delay);
    let ended = child.try_wait().expect("the process is ours").is_some();
    child.kill().expect("SIGKILL");
    child.wait().expect("the process is ours");
    !ended
}

#[track_caller]
fn assert_same(found: &Path, expected: &Path) {
    let (found, expected) = (results(found), results(expected));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, bytes) in &expected {
        assert!(&found[path] == bytes, "{} differs after an interruption", path.display());
    }
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = scratch.path().join("whole");
    let started = Instant::now();
    finish(run(&whole, &[]));
    let time = started.elapsed();

    // One run that is killed over and over, a little later each time: it must get through all stages in the end.
    let out = scratch.path().join("killed");
    let kills = (1..=12).filter(|&i| kill_after(&out, time * i / 12)).count();
    assert!(kills >= 3, "only {kills} of 12 kills came before the end");
    finish(run(&out, &[]));
    assert_same(&out, &whole);
}

#[test]
fn each_stage_survives_a_kill_of_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = scratch.path().join("whole");
    finish(run(&whole, &[]));
    // Killed when a file of the stage has just appeared: after the first shard, the subset, a student's resume point, the
    // evaluation.
    let moments = ["pool/round-000/index.json", "subset/round-000.json", "checkpoints/synthetic/seed-0", "eval.json"];
    for (i, moment) in moments.iter().enumerate() {
        let out = scratch.path().join(format!("killed-{i}"));
        let mut child = run(&out, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("limbeck starts");
        let patience = Instant::now();
        while !out.join(moment).exists() && patience.elapsed() < Duration::from_secs(300) {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("the process is ours");
        assert!(out.join(moment).exists(), "{moment} never came");
        finish(run(&out, &[]));
        assert_same(&out, &whole);
    }
}
