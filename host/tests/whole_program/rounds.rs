//! The closed loop: rounds that are planned from what the student lacks, killed at any moment, and compared with a run
//! without rounds.

use std::path::Path;
use std::process::Command;

use crate::resume::check_kills;
use crate::support::{LIMBECK, dist, finish, json, limbeck, results, run};

/// Three small rounds of the digits' recipe into `out`, with `more` on top.
fn rounds(out: &Path, more: &[&str]) -> Command {
    for policy in ["weak-classes", "teacher-filter", "uniform-draw"] {
        dist(&format!("policies/{policy}.wasm"));
    }
    let small = [
        "synth.images=90",
        "synth.steps=4",
        "synth.sampler=\"ddim\"",
        "synth.shard=15",
        "synth.batch=5",
        "rounds.count=3",
        "rounds.images-per-round=20",
        "rounds.epochs=3",
        "distill.epochs=4",
        "distill.batch=16",
        "distill.checkpoint-every=3",
        "distill.seeds=[5, 6]",
    ];
    limbeck(&["run", "recipes/mnist-rounds.toml"], small.iter().chain(more), out)
}

#[test]
fn each_round_draws_what_the_student_of_the_one_before_lacks() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("run");
    finish(rounds(&out, &[]));

    let planned: Vec<_> = (0..3).map(|round| json(&out, &format!("rounds/round-00{round}.json"))).collect();
    let sizes: Vec<_> = planned.iter().map(|round| round["class"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [50, 20, 20]);
    assert_eq!(planned[1]["planner"]["name"], "weak-classes");
    for (round, plan) in planned.iter().enumerate().skip(1) {
        let lag = json(&out, &format!("rounds/round-00{}-lag.json", round - 1));
        for class in 0..10 {
            let (known, found) = (&plan["figures"]["classes"][class], &lag["classes"][class]);
            assert_eq!((&known["images"], &known["held-out"]), (&found["images"], &found["held-out"]), "round {round}");
        }
        let behind = |class: usize| {
            let found = &lag["classes"][class];
            found["teacher-accuracy"].as_f64().unwrap() - found["student-accuracy"].as_f64().unwrap()
        };
        let drawn = |class: usize| plan["class"].as_array().unwrap().iter().filter(|&found| *found == class).count();
        let (worst, best) =
            ((0..10).max_by(|&a, &b| behind(a).total_cmp(&behind(b))).unwrap(), |class| behind(class) <= 0.0);
        assert!(behind(worst) > 0.0, "a student of three epochs lags somewhere: {lag}");
        assert!((0..10).filter(|&class| best(class)).all(|class| drawn(class) < drawn(worst)), "round {round}: {lag}");
    }

    // Images are numbered on from round to round, and each says in which it was drawn.
    let summary = json(&out, "summary.json");
    assert_eq!((summary["counts"]["drawn"].as_u64(), summary["rounds"].as_array().unwrap().len()), (Some(90), 3));
    assert!(summary["policies"]["planner"]["calls"].as_u64() >= Some(9), "{}", summary["policies"]);
    let subset = json(&out, "subset/round-002.json");
    assert_eq!(subset["decisions"][0]["id"], 70);
    let first_seed = planned[2]["figures"]["first-seed"].as_u64();
    assert_eq!(first_seed, Some(70), "seeds go on as well");

    // Students between rounds: the first seed only, and never judged on the real test images.
    assert!(out.join("checkpoints/rounds/001/seed-5/student.safetensors").exists());
    assert!(!out.join("checkpoints/rounds/001/seed-6").exists());
    let judged = json(&out, "eval.json");
    assert_eq!(judged["arms"].as_object().unwrap().keys().collect::<Vec<_>>(), ["synthetic"]);
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("Round by round") && report.contains("weak-classes"), "the report shows the rounds");
}

#[test]
fn killed_rounds_end_with_the_same_bytes() {
    check_kills(10, |out| rounds(out, &["rounds.student=\"continue\"", "distill.seeds=[5]"]));
}

/// One round by `uniform-draw` draws the images of a run without rounds; only their provenance tells of the planner.
#[test]
fn one_uniform_round_is_a_run_without_rounds() {
    let scratch = tempfile::tempdir().unwrap();
    let (plain, planned) = (scratch.path().join("plain"), scratch.path().join("planned"));
    finish(run(&plain, &["baseline.real=false", "distill.seeds=[0]"]));
    let uniform = "rounds={ count = 1, planner = { policy = \"../dist/policies/uniform-draw.wasm\" } }";
    finish(run(&planned, &["baseline.real=false", "distill.seeds=[0]", uniform]));
    let student = Path::new("checkpoints/synthetic/seed-0/student.safetensors");
    assert!(results(&plain)[student] == results(&planned)[student], "the same images teach the same student");
}

/// A scorer that compares teacher and student: the first round has no student yet, the others that of the round before.
#[test]
fn each_selection_sees_the_student_of_the_round_before() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("run");
    for policy in ["disagreement", "focal-kd"] {
        dist(&format!("policies/{policy}.wasm"));
    }
    let by_student = ["select.policy=\"../dist/policies/disagreement.wasm\"", "select.keep=0.5"];
    let weigher = "distill.weigher.policy=\"../dist/policies/focal-kd.wasm\"";
    finish(rounds(&out, &[by_student[0], by_student[1], weigher]));
    let first = json(&out, "subset/round-000.json");
    assert_eq!(first["kept"], serde_json::json!((0..25).collect::<Vec<_>>()), "the first half of 50");
    assert_eq!(first["decisions"][0]["reason"], "no student yet to judge by");
    let later = json(&out, "subset/round-001.json");
    assert!(later["decisions"][0]["score"].is_number(), "{}", later["decisions"][0]);

    // What was decided is what a replay decides, round by round; without a number it is of the last one.
    let replay = |policy: &str, more: &[&str]| {
        let file = crate::support::root().join(format!("dist/policies/{policy}.wasm"));
        Command::new(LIMBECK).args(["policy", "replay"]).arg(file).arg(&out).args(more).output().unwrap()
    };
    let says = |policy: &str, more: &[&str]| String::from_utf8(replay(policy, more).stdout).unwrap();
    let second = says("disagreement", &["--round", "1"]);
    assert!(second.contains("round      1 of 0 to 2") && second.contains(" 0 by the run only, 0 now only"), "{second}");
    let last = says("disagreement", &[]);
    assert!(last.contains("round      2 of 0 to 2") && last.contains(" 0 by the run only, 0 now only"), "{last}");
    assert!(says("disagreement", &["--round", "0"]).contains("keeps 25 of 50 images; the run kept 25"));
    let weights = says("focal-kd", &[]);
    assert!(weights.contains("weights    of 45 images"), "all that the last students learnt from: {weights}");
    assert!(says("focal-kd", &["--round", "1"]).contains("focal-kd)"), "with the weights of that round's students");
    let none = replay("disagreement", &["--round", "3"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no round 3: name one from 0 to 2"), "{none:?}");
}

#[test]
fn a_stage_of_a_run_with_rounds_is_not_run_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("run");
    let mut first = rounds(&out, &["rounds.count=1", "rounds.images-per-round=90"]);
    first.args(["--until", "select"]);
    finish(first);
    assert!(out.join("subset/round-000.json").exists() && !out.join("checkpoints").exists());
    let output = Command::new(LIMBECK).arg("distill").arg(&out).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("has rounds"), "{message}");
}
