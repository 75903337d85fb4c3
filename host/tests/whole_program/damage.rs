//! Files of a run that are damaged or exchanged: named once, with a remedy that works.

use std::path::Path;
use std::process::Command;

use candle_core::{Device, Tensor};
use limbeck_models::checkpoint;

use crate::support::{finish, results, root, run, train};

/// What the user reads of a command that refuses what is there.
#[track_caller]
fn refused(mut command: Command, parts: &[&str]) {
    let output = command.output().expect("limbeck starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in parts {
        assert_eq!(message.matches(part).count(), 1, "expected `{part}` once in `{message}`");
    }
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_run_refuses_what_is_damaged_and_makes_it_again() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let command = || run(&out, &["baseline.real=false", "distill.seeds=[0]", "distill.epochs=2"]);
    finish(command());
    let whole = results(&out);
    let [student, state] = ["student", "state"].map(|name| format!("checkpoints/synthetic/seed-0/{name}.safetensors"));
    let path = |name: &str| out.join(name);
    let mlp = root().join("assets/mnist/teacher-weak.safetensors");
    let again = "remove it, and `limbeck run` with its recipe trains it again";

    std::fs::remove_file(path("eval.json")).unwrap();
    cut(&path(&student));
    refused(command(), &[&student, "is no student of this run: not a readable safetensors file", again]);
    std::fs::copy(&mlp, path(&student)).unwrap();
    refused(command(), &[&student, "it is a `mlp`, this run trains a `lenet5`", again]);
    let mut finished = checkpoint::parse(&whole[Path::new(&student)], "student").unwrap();
    let weight = finished.tensors.get_mut("conv1.weight").unwrap();
    *weight = weight.affine(f64::NAN, 0.0).unwrap();
    let entries = serde_json::from_str(&finished.metadata[checkpoint::METADATA_KEY]).unwrap();
    std::fs::write(path(&student), checkpoint::to_bytes(&finished.tensors, &entries).unwrap()).unwrap();
    refused(command(), &[&student, "NaN in tensor `conv1.weight`", again]);

    std::fs::remove_file(path(&student)).unwrap();
    let again = "remove it, and the same command begins this training again";
    std::fs::copy(&mlp, path(&state)).unwrap();
    refused(command(), &[&state, "the checkpoint has no tensor `conv1.bias`", again]);
    cut(&path(&state));
    refused(command(), &[&state, "not a readable safetensors file", again]);
    let momentum = Tensor::new(&[0.0, f32::INFINITY], &Device::Cpu).unwrap();
    let tensors = [("optim.conv1.bias".to_owned(), momentum)].into();
    std::fs::write(path(&state), checkpoint::to_bytes(&tensors, &Default::default()).unwrap()).unwrap();
    refused(command(), &[&state, "inf in tensor `optim.conv1.bias`", again]);
    std::fs::remove_file(path(&state)).unwrap();

    let subset = "subset/round-000.json";
    let text = String::from_utf8(whole[Path::new(subset)].clone()).unwrap();
    std::fs::write(path(subset), text.replacen("\"kept\": [", "\"kept\": [\n    99999,", 1)).unwrap();
    refused(command(), &[subset, "of which the pool has 48: remove it, and `limbeck run` makes it anew"]);
    std::fs::remove_file(path(subset)).unwrap();
    finish(command());
    assert!(results(&out) == whole, "the remedies lead elsewhere");
}

#[test]
fn a_training_refuses_a_damaged_resume_point() {
    let scratch = tempfile::tempdir().unwrap();
    let digits = r#"data.train={ images = "../assets/mnist/t10k-images-idx3-ubyte.gz", labels = "../assets/mnist/t10k-labels-idx1-ubyte.gz" }"#;
    let model = "train.model={ patch = 7, width = 16, depth = 1, heads = 2 }";
    for (what, recipe, settings) in [
        ("classifier", "recipes/train-teacher-middle.toml", &["train.images=200", "train.epochs=1"][..]),
        ("generator", "recipes/mnist-generator.toml", &[digits, model, "train.epochs=1", "train.batch=2000"]),
    ] {
        let out = scratch.path().join(what);
        let command = || train(what, recipe, settings, &out);
        finish(command());
        let whole = results(&out);
        std::fs::remove_file(out.join(format!("{what}.safetensors"))).unwrap();
        let state = out.join("state.safetensors");
        let again = "remove it, and the same command begins this training again";
        std::fs::copy(root().join("assets/mnist/teacher-weak.safetensors"), &state).unwrap();
        refused(command(), &["can't go on from", "/state.safetensors`: ", " has no ", again]);
        cut(&state);
        refused(command(), &["/state.safetensors`: not a readable safetensors file", again]);
        std::fs::remove_file(&state).unwrap();
        finish(command());
        assert!(results(&out) == whole, "the remedy leads elsewhere");
    }
}

#[test]
fn numbers_that_overflow_end_the_drawing() {
    let scratch = tempfile::tempdir().unwrap();
    let mut dit = checkpoint::load(&root().join("assets/mnist/dit.safetensors")).unwrap();
    let entries = serde_json::from_str(&dit.metadata[checkpoint::METADATA_KEY]).unwrap();
    dit.tensors.values_mut().for_each(|tensor| *tensor = Tensor::full(6e4_f32, tensor.shape(), &Device::Cpu).unwrap());
    let path = scratch.path().join("over.safetensors");
    std::fs::write(&path, checkpoint::to_bytes(&dit.tensors, &entries).unwrap()).unwrap();
    let out = scratch.path().join("out");
    let output = run(&out, &[&format!("generator.weights={:?}", path.display().to_string())]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("over.safetensors`: step 1 of 6, timestep "), "{message}");
    assert!(message.contains("the noise that it predicts holds "), "{message}");
    assert!(!out.join("pool/round-000/000000.tar").exists());
}
