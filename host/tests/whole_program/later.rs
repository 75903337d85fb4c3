//! What can still be asked of a run that is finished.

use crate::support::{finish, json, limbeck, results, run};

/// Its plan is all that it takes.
#[test]
fn a_run_is_done_again_by_its_plan() {
    let scratch = tempfile::tempdir().unwrap();
    let (first, again) = (scratch.path().join("first"), scratch.path().join("again"));
    finish(run(&first, &["distill.epochs=2", "distill.seeds=[0]"]));
    let plan = first.join("plan.toml");
    finish(limbeck(&["run", plan.to_str().unwrap()], &[], &again));
    assert!(results(&first) == results(&again));
    assert_eq!(std::fs::read(plan).unwrap(), std::fs::read(again.join("plan.toml")).unwrap());
}

/// Students that are there stay as they are, byte for byte.
#[test]
fn a_baseline_can_be_added_later_and_taken_out_again() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let without = ["distill.epochs=2", "baseline.real=false"];
    finish(run(&out, &without));
    let mut before = results(&out);
    before.remove(std::path::Path::new("metrics.jsonl"));
    assert!(json(&out, "eval.json")["arms"]["real"].is_null());

    finish(run(&out, &["distill.epochs=2"]));
    let after = results(&out);
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "something else was done anew");
    let judged = json(&out, "eval.json");
    assert!(judged["arms"]["real"]["top1"]["mean"].is_f64(), "{judged}");
    assert!(judged["arms"]["synthetic"]["top1"]["mean"].is_f64(), "{judged}");

    finish(run(&out, &without));
    assert!(json(&out, "eval.json")["arms"]["real"].is_null());
    // Anything else is another run still.
    let other = run(&out, &["distill.epochs=3"]).output().unwrap();
    let message = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(2) && message.contains("the difference is in"), "{message}");
}
