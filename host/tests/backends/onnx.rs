//! Teachers in ONNX files against PyTorch's own numbers (`tests/golden/make_onnx.py`). What runs a model needs an ONNX
//! Runtime on this machine and is skipped, with a word on stderr, where there is none; `.ci/run` installs one
//! and names it in ORT_DYLIB_PATH, which makes a skip a failure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor};
use limbeck::Error;
use limbeck::backend::{Classifier, Services, open_classifier, open_classifier_with};
use limbeck::plan::PluginPlan;
use serde_json::{Value, json};

use crate::support::{Hostile, built_library, images, logits, plan, root};

fn model(name: &str) -> PathBuf {
    root().join(format!("tests/golden/onnx/{name}.onnx"))
}

/// Whether there is no library to run models with; says so on stderr.
fn skipped() -> bool {
    let Some(error) = open_plain("flat").err() else { return false };
    assert!(error.to_string().contains("it needs ONNX Runtime, which is in none"), "{error}");
    assert!(std::env::var_os("ORT_DYLIB_PATH").is_none(), "{error}");
    eprintln!("SKIPPED, nothing was tested: {error}");
    true
}

/// Whether the library that ORT_DYLIB_PATH names, if any, comes with its CUDA part.
fn has_cuda_provider() -> bool {
    let Some(named) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) else { return true };
    let folder = if named.is_dir() { named.join("capi") } else { named.parent().unwrap().to_owned() };
    folder.join("libonnxruntime_providers_cuda.so").exists()
}

fn teacher(name: &str, config: Value) -> PluginPlan {
    PluginPlan { weights: Some(model(name)), config, ..plan(&built_library("limbeck_onnx")) }
}

fn open(name: &str, config: Value) -> Result<Box<dyn Classifier>, Error> {
    open_classifier(&teacher(name, config), &Device::Cpu)
}

/// A model by hand, of 1×2×2 images, which it doesn't normalise.
fn open_plain(name: &str) -> Result<Box<dyn Classifier>, Error> {
    open(name, json!({"mean": 0.0, "std": 1.0}))
}

/// How each exported network wants its images.
fn exported() -> [(&'static str, &'static str, Value); 4] {
    let colour = |more: Value| {
        let mut config = json!({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "features": "features", "logits": "logits"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    [
        ("strong", "strong", json!({"mean": 0.1307, "std": 0.3081, "features": "features", "classes": 10})),
        ("cnn", "cnn", colour(json!({}))),
        ("cnn-batch2", "cnn", colour(json!({}))),
        ("cnn-nhwc", "cnn", colour(json!({"layout": "nhwc"}))),
    ]
}

fn golden() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(root().join("tests/golden/onnx.safetensors"), &Device::Cpu).unwrap()
}

/// The largest difference, relative to the largest expected element.
fn relative_error(found: &Tensor, expected: &Tensor) -> f32 {
    let largest = |tensor: &Tensor| {
        let values = tensor.flatten_all().unwrap().abs().unwrap();
        values.max(0).unwrap().to_scalar::<f32>().unwrap()
    };
    assert_eq!(found.dims(), expected.dims());
    largest(&(found - expected).unwrap()) / largest(expected)
}

#[test]
fn exported_networks_agree_with_pytorch() {
    if skipped() {
        return;
    }
    let golden = golden();
    for (name, numbers, config) in exported() {
        let opened = open(name, config).unwrap();
        let images = &golden[&format!("{numbers}.images")];
        let found = opened.classify(images).unwrap();
        let error = relative_error(&found.logits, &golden[&format!("{numbers}.logits")]);
        assert!(error <= 1e-4, "{name}: logits differ by {error}");
        let features = found.features.expect("the recipe named them");
        let error = relative_error(&features, &golden[&format!("{numbers}.features")]);
        assert!(error <= 1e-4, "{name}: features differ by {error}");
        let info = opened.info();
        let size = [images.dim(1).unwrap(), images.dim(2).unwrap(), images.dim(3).unwrap()];
        assert_eq!([info.channels, info.height, info.width], size, "{name}");
        assert_eq!((info.network.as_deref(), info.name.as_str()), (Some(name), "onnx"));
    }
}

#[test]
fn any_number_of_images_gives_the_same_grades() {
    if skipped() {
        return;
    }
    let images = golden()["cnn.images"].clone();
    for name in ["cnn", "cnn-batch2"] {
        let (_, _, config) = exported().into_iter().find(|exported| exported.0 == name).unwrap();
        let teacher = open(name, config).unwrap();
        let together = teacher.classify(&images).unwrap().logits;
        let again = teacher.classify(&images).unwrap().logits;
        assert_eq!(together.to_vec2::<f32>().unwrap(), again.to_vec2::<f32>().unwrap(), "{name}: the same twice");
        for rows in 1..images.dim(0).unwrap() {
            let part = teacher.classify(&images.narrow(0, 0, rows).unwrap()).unwrap().logits;
            let error = relative_error(&part, &together.narrow(0, 0, rows).unwrap());
            assert!(error <= 1e-6, "{name}: {rows} images: {error}");
        }
    }
}

#[test]
fn a_teacher_is_the_same_in_onnx_and_in_candle() {
    if skipped() {
        return;
    }
    let images = golden()["strong.images"].clone();
    let weights = root().join("assets/mnist/teacher-strong.safetensors");
    let candle = PluginPlan { weights: Some(weights), ..plan(&built_library("candle_classifier")) };
    let candle = open_classifier(&candle, &Device::Cpu).unwrap().classify(&images).unwrap();
    // The mean and deviation that candle's side reads in the weights: rounded to four digits they move the logits by 1.4e-4.
    let config = json!({"mean": 0.13066047, "std": 0.3081078, "features": "features", "classes": 10});
    let onnx = open("strong", config).unwrap().classify(&images).unwrap();
    for (who, grades) in [("candle", candle), ("ONNX Runtime", onnx)] {
        let errors = [
            relative_error(&grades.logits, &golden()["strong.exact-logits"]),
            relative_error(&grades.features.unwrap(), &golden()["strong.exact-features"]),
        ];
        // With --nocapture, the figures of docs/networks.md.
        println!("{who}: logits off by {:.1e}, features by {:.1e}", errors[0], errors[1]);
        assert!(errors.iter().all(|&error| error <= 2e-6), "{who}: {errors:?}");
    }
}

#[track_caller]
fn refused(opened: Result<Box<dyn Classifier>, Error>, part: &str) {
    let error = opened.err().expect("it was opened");
    assert!(error.to_string().contains(part), "expected `{part}` in `{error}`");
    assert!(matches!(error, Error::Input(_)), "the recipe chose model and settings: {error:?}");
}

#[test]
fn models_that_are_no_classifier_of_images_are_refused() {
    if skipped() {
        return;
    }
    let plain = |name: &str, part: &str| refused(open_plain(name), part);
    plain("two-inputs", "two-inputs.onnx`: the model has 2 inputs (`x`, `t`), a classifier has one");
    plain("uint8", "its input `x` is uint8, this plugin gives float32");
    plain("double-output", "its output `y` is float64, this plugin takes float32");
    plain("vectors", "its input `x` has shape [?, 4], images have four axes");
    plain("map-output", "its output `y` has shape [2, 1, 2, 2] for 2 images");
    plain("always-nan", "its output `y` is not finite for black images");
    plain(
        "two-outputs",
        "the model has the outputs `y`, `z`: set the `config` key `logits` to the one with the logits, such as \"y\"",
    );
    plain("unknown-node", "can't run it: ");
    plain(
        "any-size",
        "the model's input `x` leaves it open: set the `config` key `channels` to what it was trained with, such as 3",
    );
    plain("cnn-nhwc", "channels last: set the `config` key `layout` to \"nhwc\"");
}

#[test]
fn recipes_that_contradict_the_model_are_refused() {
    if skipped() {
        return;
    }
    let with = |name: &str, more: Value, part: &str| {
        let mut config = json!({"mean": 0.0, "std": 1.0});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refused(open(name, config), part);
    };
    with("flat", json!({"classes": 7}), "`classes` is 7, the model has 4");
    with("flat", json!({"channels": 3}), "`channels` is 3, the model's input `x` is fixed at 1");
    with("flat", json!({"size": [2, 3]}), "`size` is 3, the model's input `x` is fixed at 2");
    with("flat", json!({"mean": [0.0, 0.0]}), "`mean` is [0.0, 0.0], it needs 1 finite numbers");
    with("flat", json!({"features": "pool"}), "`features` is `pool`, the model's outputs are `y`");
    with("two-outputs", json!({"features": "y", "logits": "y"}), "name the same output");
    with("any-size", json!({"channels": 1}), "set the `config` key `size` to what it was trained with, such as 224");
    // A library without CUDA says so; one with CUDA may have a GPU to work on.
    match open("flat", json!({"mean": 0.0, "std": 1.0, "provider": "cuda"})) {
        Ok(_) => assert!(has_cuda_provider(), "a library without CUDA took `provider = \"cuda\"`"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("can't run it on GPU 0") && message.contains("onnxruntime-gpu"), "{message}");
        }
    }
}

#[test]
fn open_sizes_and_several_outputs_are_for_the_recipe_to_settle() {
    if skipped() {
        return;
    }
    let with = |name: &str, config: Value| logits(open(name, config).unwrap().as_ref(), &images(3)).unwrap();
    let any = json!({"mean": 0.0, "std": 1.0, "channels": 1, "size": 2});
    assert_eq!(with("any-size", any), vec![vec![0.5; 4]; 3]);
    let second = json!({"mean": 0.25, "std": 0.5, "logits": "z", "features": "y"});
    assert_eq!(with("two-outputs", second), vec![vec![-0.5; 4]; 3]);
    assert_eq!(with("flat", json!({"mean": 0, "std": 1, "pixel-max": 255})), vec![vec![127.5; 4]; 3]);
}

#[test]
fn nan_for_some_image_stops_the_run_and_a_softmax_is_warned_of() {
    if skipped() {
        return;
    }
    let nan = open_plain("nan").unwrap();
    let message = logits(nan.as_ref(), &images(2)).unwrap_err().to_string();
    assert!(message.contains("it gave NaN in the logits of row 0 of 2"), "{message}");

    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let log = Arc::new(move |level, line: &str| sink.lock().unwrap().push(format!("{level:?} {line}")));
    let services = Services { log, max_threads: 2, ..Services::default() };
    let softmax = teacher("softmax", json!({"mean": 0.0, "std": 1.0}));
    open_classifier_with(&softmax, &Device::Cpu, services).unwrap();
    let lines = lines.lock().unwrap();
    assert!(lines[0].starts_with("Warn its grades are probabilities"), "{lines:?}");
    assert!(lines[1].contains("softmax.onnx` on ONNX Runtime 1.") && lines[1].ends_with("2 threads"), "{lines:?}");
}

#[test]
fn what_is_no_model_is_refused() {
    if skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    let whole = std::fs::read(model("strong")).unwrap();
    let cases: [(&[u8], &str); 4] = [
        (b"", "model.onnx`: it is not an ONNX model"),
        (b"a text", "model.onnx`: it is not an ONNX model"),
        (b"\x80\x04pickle", "model.onnx`: it is not an ONNX model"),
        (&whole[..whole.len() / 2], "model.onnx`: it is not an ONNX model"),
    ];
    for (bytes, part) in cases {
        std::fs::write(&file, bytes).unwrap();
        let config = json!({"mean": 0.0, "std": 1.0});
        refused(
            open_classifier(&PluginPlan { weights: Some(file.clone()), ..teacher("", config) }, &Device::Cpu),
            part,
        );
    }
}

#[test]
fn without_a_library_the_way_to_get_one_is_said() {
    let with = |runtime: &Path| open("flat", json!({"mean": 0.0, "std": 1.0, "runtime": runtime}));
    refused(with(Path::new("/absent")), "`/absent`, which does not exist: install it with `pip install onnxruntime`");
    let other = Hostile::new(&[]);
    refused(with(&other.path()), "it is a library, but not ONNX Runtime: it has no `OrtGetApiBase`");
    let text = other.path().with_file_name("text.so");
    std::fs::write(&text, "no library").unwrap();
    refused(with(&text), "text.so`: ");
}

#[test]
fn what_needs_no_library_is_refused_first() {
    refused(open("external", json!({})), "its tensor `w` is in another file, which the recipe can't pin");
    refused(open("absent", json!({})), "absent.onnx`: No such file");
    refused(open("flat", json!({"colour": true})), "unknown field `colour`");
    refused(
        open_classifier(&plan(&built_library("limbeck_onnx")), &Device::Cpu),
        "it needs a model: name a file as `weights`, such as FILE.onnx",
    );
}
