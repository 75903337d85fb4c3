//! The whole way from a recipe to a report: once through, killed on the way, and with other teachers and policies.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use limbeck::run_dir::sha256_file;
use serde_json::Value;

use crate::trial::{Trial, done, plugin, root};

#[track_caller]
fn summary(trial: &Trial, out: &str) -> Value {
    let text = std::fs::read_to_string(trial.path().join(out).join("summary.json")).expect("a summary");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_run_leaves_figures_and_a_report_and_is_done_only_once() {
    let trial = Trial::new();
    trial.run("out", &[]);
    let figures = summary(&trial, "out");
    assert_eq!(figures["counts"]["drawn"], 120);
    assert_eq!(figures["counts"]["kept"], 96);
    assert_eq!(figures["counts"]["students"], 4);
    for figure in ["top1", "baseline_top1", "teacher_top1"] {
        let share = figures["eval"][figure].as_f64().expect(figure);
        assert!((0.0..=1.0).contains(&share), "{figure} is {share}");
    }
    assert!(figures["eval"]["teacher_top1"].as_f64() > Some(0.8), "{figures}");
    assert!(figures["policies"]["weigher"]["calls"].as_u64() > Some(0), "{figures}");
    assert!(trial.path().join("out/report.html").exists());

    let first = trial.results("out");
    assert_eq!(first.keys().filter(|path| path.ends_with("student.safetensors")).count(), 4);
    trial.run("out", &[]);
    assert!(trial.results("out") == first, "running a finished run again has changed it");
    let output = trial.command("out", &["distill.epochs=7".into()]).output().expect("the program runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("was made from another recipe") && message.contains("`distill.epochs`"), "{message}");
}

/// Killed as soon as each of these files is there, and started again each time.
#[test]
#[cfg(unix)]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let moments = [
        "plan.toml",
        "pool/round-000/000001.tar",
        "pool/round-000/000004.tar",
        "pool/round-000/grades.safetensors",
        "subset/round-000.json",
        "checkpoints/synthetic/seed-0/state.safetensors",
        "checkpoints/synthetic/seed-0/student.safetensors",
        "checkpoints/synthetic/seed-1/state.safetensors",
        "checkpoints/real/seed-0/state.safetensors",
        "checkpoints/real/seed-1/student.safetensors",
        "eval.json",
    ];
    let trial = Trial::new();
    trial.run("whole", &[]);
    let mut kills = 0;
    for moment in moments {
        let mut run = trial.command("killed", &[]).stderr(Stdio::piped()).spawn().expect("the program runs");
        if wait_for(&trial.path().join("killed").join(moment), &mut run) {
            // SIGKILL: nothing of the process runs any more.
            run.kill().expect("it can be killed");
            run.wait().expect("it is gone");
            kills += 1;
        } else {
            done(&run.wait_with_output().expect("it has ended"));
        }
    }
    assert!(kills >= moments.len() / 2, "only {kills} kills hit a running process");
    trial.run("killed", &[]);
    let (whole, killed) = (trial.results("whole"), trial.results("killed"));
    let names: Vec<_> = whole.keys().collect();
    assert_eq!(names, killed.keys().collect::<Vec<_>>());
    let differing: Vec<_> = whole.iter().filter(|(name, bytes)| killed[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "these differ after {kills} kills: {differing:?}");
}

/// Whether the file appears before the process ends.
fn wait_for(path: &Path, run: &mut Child) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(120) {
        if run.try_wait().expect("a child").is_some() {
            return false;
        }
        if path.exists() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn teacher_and_weigher_change_by_the_recipe_alone() {
    let program = Path::new(env!("CARGO_BIN_EXE_limbeck"));
    let before = sha256_file(program).expect("the program");
    let trial = Trial::new();
    let policy = |name: &str| root().join("dist/policies").join(name).display().to_string();
    let runs: [(&str, Vec<String>); 3] = [
        ("first", vec![]),
        ("teacher", vec![format!("teacher.plugin={}", plugin("c_mlp"))]),
        ("weigher", vec![format!("distill.weigher.policy={}", policy("focal-kd.wasm"))]),
    ];
    for (out, overrides) in &runs {
        trial.run(out, overrides);
    }
    assert_eq!(sha256_file(program).expect("the program"), before, "the program was built anew");

    let [first, teacher, weigher] = ["first", "teacher", "weigher"].map(|out| summary(&trial, out));
    let hash = |of: &Value, key: &str| of["hashes"][key].as_str().map(str::to_owned).expect("a hash");
    assert_ne!(hash(&first, "teacher.plugin"), hash(&teacher, "teacher.plugin"));
    // Two plugins that do the same with the same weights agree on what the teacher knows.
    assert_eq!(first["eval"]["teacher_top1"], teacher["eval"]["teacher_top1"]);
    assert_eq!(weigher["policies"]["weigher"]["name"], "focal-kd");
    assert_ne!(hash(&first, "synthetic.0"), hash(&weigher, "synthetic.0"), "the weigher has no influence");
}
