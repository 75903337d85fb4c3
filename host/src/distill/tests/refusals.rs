//! What does not fit is refused, with the thing and the remedy.

use candle_core::Device;
use limbeck_models::checkpoint;

use super::counting::{counting, without};
use super::teacher::Teacher;
use super::toy::{SIDE, Toy};
use crate::distill::run;
use crate::progress::{Mode, Progress};

#[test]
fn what_does_not_fit_is_refused() {
    let toy = Toy::new("");
    let teach = |teacher: &Teacher| {
        let progress = Progress::new(Mode::Quiet);
        run(&toy.plan, &toy.run, &progress, &Device::Cpu, teacher, &without, 0).unwrap_err().to_string()
    };
    let message = teach(&Teacher::new(8));
    assert!(
        message.contains("the synthetic images: they are 6 high and 6 wide with 1 channel, the teacher"),
        "{message}"
    );
    assert!(message.contains("takes 8 high and 8 wide with 1 channel: name"), "{message}");
    let hint = Toy::new("[distill.loss]\nhint = 1.0");
    let error = hint.distill(&without).unwrap_err();
    assert!(error.to_string().contains("which `halves` does not give: set it to 0"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let mut other = Teacher::new(SIDE);
    other.info.classes = 5;
    assert!(teach(&other).contains("tells 5 classes apart, `data.classes` is 2"));
    toy.run.write_json("subset/round-000.json", &serde_json::json!({ "kept": [1, 99] })).unwrap();
    let message = teach(&Teacher::new(SIDE));
    assert!(message.contains("keeps 2 images, of which the pool has 1: remove it, and `limbeck run`"), "{message}");
    std::fs::remove_file(toy.run.join("subset/round-000.json")).unwrap();
    assert!(teach(&Teacher::new(SIDE)).contains("is not there: `limbeck run` with the run's recipe makes it"));
}

#[test]
fn a_training_that_diverges_says_what_to_change_and_leaves_no_student() {
    let toy = Toy::new("[distill.optimizer]\nkind = \"sgd\"\nlr = 100.0");
    let message = toy.distill(&without).unwrap_err().to_string();
    assert!(message.contains("student synthetic seed 0: "), "{message}");
    assert!(
        message.ends_with("the training diverged: lower `optimizer.lr`, and begin again in another --out"),
        "{message}"
    );
    assert!(!toy.run.join("checkpoints/synthetic/seed-0/student.safetensors").exists());
}

/// The step and the parameters are those of a resume point, but a value of the optimiser is not a number.
#[test]
fn a_resume_point_that_is_spoilt_is_named_with_the_remedy() {
    let whole = Toy::new("");
    whole.distill(&without).unwrap();
    let toy = Toy::new("");
    toy.distill(&counting(Some(7))).unwrap_err();
    let state = toy.run.join("checkpoints/synthetic/seed-0/state.safetensors");
    let mut file = checkpoint::load(&state).unwrap();
    let (name, moment) = file.tensors.iter_mut().find(|(name, _)| name.starts_with("optim.")).unwrap();
    let name = name.clone();
    *moment = moment.affine(f64::NAN, 0.0).unwrap();
    let entries = serde_json::from_str(&file.metadata[checkpoint::METADATA_KEY]).unwrap();
    std::fs::write(&state, checkpoint::to_bytes(&file.tensors, &entries).unwrap()).unwrap();
    let error = toy.distill(&without).unwrap_err();
    let expected = format!("state.safetensors`: NaN in tensor `{name}`: remove it, and the same command begins");
    assert!(error.to_string().contains(&expected), "{error}");
    assert_eq!(error.exit_code(), 2);
    std::fs::remove_file(&state).unwrap();
    toy.distill(&without).unwrap();
    assert!(toy.results() == whole.results());
}
