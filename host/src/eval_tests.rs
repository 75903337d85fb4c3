//! Students rebuilt from their checkpoints, and a teacher, judged on a handful of images.

use std::path::Path;

use limbeck_models::{Params, checkpoint, classifier};
use tempfile::TempDir;

use super::*;
use crate::progress::Mode;

/// Metadata of a two-class network for grey 12x12 images, and one entry changed.
fn metadata(changed: (&str, &str)) -> BTreeMap<String, String> {
    let entries = [
        ("network", "mlp"),
        ("classes", "2"),
        ("channels", "1"),
        ("size", "12"),
        ("mean", "[0.5]"),
        ("std", "0.25"),
        changed,
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn write_student(dir: &Path, rel: &str, seed: u64, metadata: &BTreeMap<String, String>) {
    let params = Params::from_seed(seed, &Device::Cpu);
    classifier::build("mlp", 2, 1, 12, &params).unwrap();
    let path = dir.join("checkpoints").join(rel).join("student.safetensors");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, checkpoint::to_bytes(&params.state(), metadata).unwrap()).unwrap();
}

fn images() -> Dataset {
    let images = (0..4 * 144).map(|i| (i * 31 % 256) as u8).collect();
    Dataset { images, labels: vec![0, 1, 1, 0], channels: 1, height: 12, width: 12, classes: 2 }
}

fn run_dir() -> (TempDir, RunDir) {
    let dir = TempDir::new().unwrap();
    let run = RunDir::create(dir.path()).unwrap();
    (dir, run)
}

fn refused<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("should be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn students_are_found_by_arm_and_seed() {
    let (dir, run) = run_dir();
    let progress = Progress::new(Mode::Quiet);
    assert!(
        refused(finished_students(&run, true, &progress))
            .contains("has no finished student: `limbeck run` with the run's recipe trains them")
    );
    for rel in ["synthetic/seed-10", "synthetic/seed-2", "real/seed-0"] {
        write_student(dir.path(), rel, 1, &metadata(("size", "12")));
    }
    std::fs::create_dir_all(dir.path().join("checkpoints/real/seed-1")).unwrap();
    std::fs::create_dir_all(dir.path().join("checkpoints/real/notes")).unwrap();
    let found = finished_students(&run, true, &progress).unwrap();
    assert_eq!(found["synthetic"].keys().copied().collect::<Vec<_>>(), [2, 10]);
    assert_eq!(found["real"].keys().copied().collect::<Vec<_>>(), [0]);
    let found = finished_students(&run, false, &progress).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["synthetic"]);
}

#[test]
fn an_arm_is_judged_over_its_seeds() {
    let (dir, run) = run_dir();
    let progress = Progress::new(Mode::Quiet);
    for seed in 0..3 {
        write_student(dir.path(), &format!("synthetic/seed-{seed}"), seed, &metadata(("size", "12")));
    }
    let found = finished_students(&run, true, &progress).unwrap();
    let arm = judge_arm("mlp", "synthetic", &found["synthetic"], &images(), &progress, &Device::Cpu).unwrap();
    assert_eq!((arm.seeds, arm.top5.mean, arm.top5.std), (3, 1.0, Some(0.0)));
    let tops = arm.students.iter().map(|student| student.evaluation.top1).collect::<Vec<_>>();
    assert_eq!(arm.top1, Spread::of(&tops));
    assert!(arm.students.iter().all(|student| student.network == "mlp" && student.sha256.len() == 64));
}

#[test]
fn a_student_sees_what_it_was_trained_on() {
    let (dir, _run) = run_dir();
    write_student(dir.path(), "a/seed-0", 3, &metadata(("size", "12")));
    let student = Student::load(&dir.path().join("checkpoints/a/seed-0/student.safetensors"), &Device::Cpu).unwrap();
    let (batch, _) = images().batch(&[0, 1, 2, 3]).unwrap();
    let network = classifier::build("mlp", 2, 1, 12, &Params::from_seed(3, &Device::Cpu)).unwrap();
    let wanted =
        network.forward(&((&batch - 0.5).unwrap() / 0.25).unwrap(), classifier::Mode::Evaluation).unwrap().logits;
    assert_eq!(student.forward(&batch).unwrap().logits.to_vec2::<f32>().unwrap(), wanted.to_vec2::<f32>().unwrap());
    let small = batch.narrow(3, 0, 11).unwrap();
    assert!(refused(student.forward(&small)).contains("it takes images of [1, 12, 12]"));
}

#[test]
fn foreign_and_damaged_checkpoints_are_refused() {
    let (dir, _run) = run_dir();
    let path = dir.path().join("checkpoints/a/seed-0/student.safetensors");
    let message = |changed| {
        write_student(dir.path(), "a/seed-0", 3, &metadata(changed));
        refused(Student::load(&path, &Device::Cpu))
    };
    assert!(message(("network", "none")).contains("there is no network `none`"));
    assert!(message(("classes", "3")).contains("the network needs"));
    assert!(message(("std", "0")).contains("its `std` is `0`"));
    assert!(message(("mean", "[1, 2]")).contains("its `mean` is `[1, 2]`, not a number for each of 1 channels"));
    assert!(message(("size", "big")).contains("its `size` is `big`, not a number"));
    std::fs::write(&path, b"not safetensors").unwrap();
    let message = refused(Student::of_run(&path, "mlp", &Device::Cpu));
    assert!(message.contains("student.safetensors` is no student of this run: not a readable"), "{message}");
    assert_eq!(message.matches("student.safetensors").count(), 1, "{message}");
    write_student(dir.path(), "a/seed-0", 3, &metadata(("size", "12")));
    assert_eq!(Student::of_run(&path, "mlp", &Device::Cpu).unwrap().name, "mlp");
    let message = refused(Student::of_run(&path, "lenet5", &Device::Cpu));
    assert!(message.contains("it is a `mlp`, this run trains a `lenet5`: remove it"), "{message}");
}

#[test]
fn the_spread_is_that_of_a_sample() {
    let spread = Spread::of(&[1.0, 2.0, 3.0]);
    assert_eq!((spread.mean, spread.std), (2.0, Some(1.0)));
    assert_eq!(Spread::of(&[0.5]), Spread { mean: 0.5, std: None });
}
