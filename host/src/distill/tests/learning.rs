//! What students learn, by every loss.

use super::counting::without;
use super::teacher::Teacher;
use super::toy::Toy;
use crate::plan::{DistillPlan, Plan, TemperatureUnit};

#[test]
fn the_student_learns() {
    let toy = Toy::new("");
    toy.distill(&without).unwrap();
    let text = std::fs::read_to_string(toy.run.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (arm, seed) in [("synthetic", 0), ("synthetic", 1), ("real", 0), ("real", 1)] {
        let mine: Vec<_> = lines.iter().filter(|line| line["arm"] == arm && line["seed"] == seed).collect();
        let steps: Vec<_> = mine.iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [4, 8, 12, 16, 20], "a line at each epoch's end");
        assert!(mine[4]["loss"].as_f64() < mine[0]["loss"].as_f64());
        assert_eq!(mine[4]["accuracy"], 1.0);
    }
    assert!(!toy.run.join("weights").exists(), "nobody weighs");
    let before = toy.results();
    toy.distill(&without).unwrap();
    assert!(toy.results() == before, "what is finished stays as it is");
    drop(toy.dir);
}

#[test]
fn the_student_learns_by_every_loss() {
    let kinds = ["kd", "dkd", "dist", "logit-mse"].map(|kind| format!("kind = {kind:?}"));
    let mixes = ["weight = 0\ncross-entropy = 1", "cross-entropy = 0.5\nhint = 0.1"].map(str::to_owned);
    for loss in kinds.into_iter().chain(mixes) {
        let toy = Toy::new(&format!("[distill.loss]\n{loss}"));
        toy.distill_from(&Teacher::with_features(), &without).unwrap();
        let (step, accuracy) = toy.last_accuracy("real", 1);
        assert_eq!(step, 20);
        assert!(accuracy > 0.9, "{loss}: {accuracy}");
    }
}

#[test]
fn temperatures_may_follow_each_image() {
    let (each, all) = (Toy::new(""), Toy::new(""));
    let each = Toy { plan: Plan { distill: by_deviation(&each.plan.distill), ..each.plan.clone() }, ..each };
    [&each, &all].iter().for_each(|toy| toy.distill(&without).unwrap());
    assert!(each.last_accuracy("real", 0).1 > 0.9);
    let student = "checkpoints/real/seed-0/student.safetensors";
    assert!(each.results()[student] != all.results()[student]);
}

fn by_deviation(plan: &DistillPlan) -> DistillPlan {
    DistillPlan { temperature: 2.0, temperature_unit: TemperatureUnit::LogitStd, ..plan.clone() }
}
