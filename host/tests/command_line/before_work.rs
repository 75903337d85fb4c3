//! What is known before any work is said before any work: nothing is left behind.

use std::process::Command;

use crate::bad_files::untrained_generator;
use crate::support::Place;

/// Files in MNIST's format: this many images of 28x28 pixels, and their classes 0, 1, 0, ….
fn put_digits(place: &Place, name: &str, count: u8) {
    let header = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28];
    let pixels: Vec<u8> = (0..usize::from(count) * 784).map(|at| (at * 37 % 251) as u8).collect();
    place.put(&format!("{name}-images"), [header.as_slice(), &pixels].concat());
    let labels: Vec<u8> = (0..count).map(|at| at % 2).collect();
    place.put(&format!("{name}-labels"), [[0, 0, 8, 1, 0, 0, 0, count].as_slice(), &labels].concat());
}

#[test]
fn students() {
    let place = Place::new();
    put_digits(&place, "test", 2);
    place.put("dit.safetensors", untrained_generator());
    let set = |set: &str| place.refused(&["run", "recipe.toml", "--set", set]);
    insta::assert_snapshot!(set("distill.student=resnet19"), @"");
    insta::assert_snapshot!(set("distill.student=vit_b_16"), @"");
    insta::assert_snapshot!(set("distill.start=dit.safetensors"), @"");
    insta::assert_snapshot!(set("distill.start=test-images"), @"");
}

const TRAINING: &str = r#"[train]
name = "trial"
network = "lenet5"
epochs = 1

[data]
format = "idx"
classes = 10
train = { images = "train-images", labels = "train-labels" }
"#;

#[test]
fn trainings() {
    let place = Place::new();
    put_digits(&place, "train", 6);
    place.put("training.toml", TRAINING);
    let set = |set: &str| place.refused(&["train", "classifier", "training.toml", "--out", "out", "--set", set]);
    insta::assert_snapshot!(set("train.network=lenet6"), @"");
    insta::assert_snapshot!(set("data.classes=1"), @"");
    insta::assert_snapshot!(set("train.images=7"), @"");
    insta::assert_snapshot!(set("train.start=dit.safetensors"), @"");
    insta::assert_snapshot!(set("data.train.labels=train-images"), @"");
}

#[test]
fn keys_without_an_effect() {
    let set = |set: &str| Place::new().refused(&["run", "recipe.toml", "--set", set]);
    insta::assert_snapshot!(set("synth.eta=0.5"), @"");
    insta::assert_snapshot!(set("distill.optimizer={ nesterov = true }"), @"");
    insta::assert_snapshot!(set("distill.optimizer={ milestones = [1] }"), @"");
    insta::assert_snapshot!(set("distill.loss={ dkd-beta = 2.0 }"), @"");
}

#[test]
fn directories_of_others() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--out", "."]), @"");
}

/// A full disk behind stdout is a failure, whatever the command had to say.
#[test]
#[cfg(target_os = "linux")]
fn data_that_cannot_be_written() {
    let place = Place::new();
    let told = |arguments: &str| {
        let script = format!(r#"exec "$0" {arguments} > /dev/full"#);
        place.refused_by(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_limbeck")]))
    };
    insta::assert_snapshot!(told("doctor"), @"");
    insta::assert_snapshot!(told("--help"), @"");
    insta::assert_snapshot!(told("--version"), @"");
}
