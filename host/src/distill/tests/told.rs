//! What weighers are told of a training, and what not.

use std::sync::{Arc, Mutex};

use candle_core::Device;

use super::teacher::Teacher;
use super::toy::{IMAGES, SIDE, Toy, idx, sample};
use crate::Result;
use crate::distill::run;
use crate::plan::{Files, RoundStudent, RoundsPlan};
use crate::policy::{PolicyUse, StepColumns, Weigher};
use crate::pool::write_shard;
use crate::progress::{Mode, Progress};

/// Keeps all that a weigher is told.
struct Listening(Arc<Mutex<Vec<String>>>);

impl Weigher for Listening {
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>> {
        let StepColumns { round, epoch, step: number, classes, ids, teacher_logits, student_logits, given, .. } = step;
        let logits = (teacher_logits, student_logits);
        let told = format!("round {round}, epoch {epoch}, step {number}: {classes:?} {ids:?} {logits:?} {given:?}");
        self.0.lock().unwrap().push(told);
        Ok(vec![1.0; ids.len()])
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Ok(())
    }

    fn epoch_end(&mut self, epoch: u32, stats_json: &str) -> Result<()> {
        self.0.lock().unwrap().push(format!("end of epoch {epoch}: {stats_json}"));
        Ok(())
    }

    fn usage(&self) -> PolicyUse {
        PolicyUse::default()
    }

    fn needs(&self) -> &[String] {
        static NEEDS: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| ["history.loss".to_owned()]);
        &*NEEDS
    }
}

/// All that weighers are told in every training of a toy.
fn told(toy: &Toy) -> Vec<String> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    toy.distill(&|_| Ok(Some(Box::new(Listening(heard.clone()))))).unwrap();
    let heard = heard.lock().unwrap();
    heard.clone()
}

/// Test images are looked at for the log's accuracy: whatever they are, weighers hear the same.
#[test]
fn no_weigher_is_told_anything_of_the_test_images() {
    let (toy, mut other) = (Toy::new(""), Toy::new(""));
    let Some(Files::Idx { labels, .. }) = &mut other.plan.data.test else { panic!("{:?}", other.plan.data) };
    *labels = other.dir.path().join("wrong-labels");
    let wrong: Vec<u8> = (0..IMAGES).map(|id| 1 - (id % 2) as u8).collect();
    std::fs::write(labels, idx(0x801, &[IMAGES as u32], &wrong)).unwrap();
    let (heard, heard_of_other) = (told(&toy), told(&other));
    assert_eq!((toy.last_accuracy("real", 0).1, other.last_accuracy("real", 0).1), (1.0, 0.0));
    assert!(heard.iter().filter(|line| line.starts_with("end of epoch")).count() == 2 * 2 * 5, "{heard:?}");
    assert!(heard == heard_of_other);
    assert!(!heard.iter().any(|line| line.contains("accuracy")), "{heard:?}");
}

#[test]
fn weighers_are_told_the_round() {
    let mut toy = Toy::new("");
    toy.plan.distill.seeds.truncate(1);
    toy.plan.baseline = None;
    toy.plan.rounds = Some(RoundsPlan {
        count: 2,
        images_per_round: 20,
        epochs: 1,
        student: RoundStudent::Retrain,
        held_out: 0.2,
        planner: None,
    });
    assert!(told(&toy).iter().all(|line| line.starts_with("round 0") || line.starts_with("end of epoch")));
    let later: Vec<_> = (IMAGES..IMAGES + 8).map(sample).collect();
    write_shard(&toy.run, 1, 0, &later).unwrap();
    let kept: Vec<u64> = later.iter().map(|sample| sample.id).collect();
    toy.run.write_json("subset/round-001.json", &serde_json::json!({ "kept": kept })).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listening = |_| -> Result<Option<Box<dyn Weigher>>> { Ok(Some(Box::new(Listening(heard.clone())))) };
    let progress = Progress::new(Mode::Quiet);
    run(&toy.plan, &toy.run, &progress, &Device::Cpu, &Teacher::new(SIDE), &listening, 1).unwrap();
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|line| line.starts_with("round 1") || line.starts_with("end of epoch")), "{heard:?}");
}
