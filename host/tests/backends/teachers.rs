//! The teachers that come with Limbeck: the candle classifier, opened and linked in, and the one in C.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use limbeck::backend::{Classifier, Grades, Services, link_classifier, open_classifier};
use limbeck::plan::{DataPlan, Files, Format, PluginPlan};
use limbeck::progress::{Mode as Shown, Progress};
use limbeck::{Error, data};
use limbeck_candle::CandleClassifier;
use limbeck_models::classifier::Mode;
use limbeck_models::{Params, checkpoint, classifier};
use serde_json::json;

use crate::support::{built_library, compile, devices, plan, root};

const MEAN: f64 = 0.1307;
const STD: f64 = 0.3081;

/// A folder with fresh weights of a network in it.
pub struct Weights {
    folder: tempfile::TempDir,
    network: &'static str,
}

impl Weights {
    pub fn new(network: &'static str) -> Self {
        let params = Params::from_seed(7, &Device::Cpu);
        classifier::build(network, 10, 1, 28, &params).unwrap();
        let made = Self { folder: tempfile::tempdir().unwrap(), network };
        let (mean, std) = (MEAN.to_string(), STD.to_string());
        let entries = [
            ("network", network),
            ("classes", "10"),
            ("channels", "1"),
            ("size", "28"),
            ("mean", &mean),
            ("std", &std),
        ];
        let metadata = entries.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let bytes = checkpoint::to_bytes(&params.state(), &BTreeMap::from(metadata)).unwrap();
        std::fs::write(made.path(), bytes).unwrap();
        made
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("weights.safetensors")
    }

    /// Puts a NaN into a tensor.
    fn spoil(&self, name: &str) {
        let mut file = checkpoint::load(&self.path()).unwrap();
        let tensor = file.tensors.get_mut(name).unwrap();
        let mut values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        *values.last_mut().unwrap() = f32::NAN;
        *tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
        let entries = serde_json::from_str(&file.metadata[checkpoint::METADATA_KEY]).unwrap();
        std::fs::write(self.path(), checkpoint::to_bytes(&file.tensors, &entries).unwrap()).unwrap();
    }

    /// What the network itself says on the images' device, without any plugin.
    fn directly(&self, images: &Tensor) -> Grades {
        let params = Params::frozen(checkpoint::load(&self.path()).unwrap().tensors, DType::F32, images.device());
        let network = classifier::build(self.network, 10, 1, 28, &params).unwrap();
        let normalised = images.affine(1.0, -MEAN).unwrap().affine(1.0 / STD, 0.0).unwrap();
        let found = network.forward(&normalised, Mode::Evaluation).unwrap();
        Grades { logits: found.logits, features: Some(found.features) }
    }
}

/// The dynamic library that cargo built of the same crate that is linked into this test.
pub fn candle_plugin() -> PathBuf {
    built_library("candle_classifier")
}

pub fn opened(plugin: PathBuf, weights: &Weights, device: &Device) -> Box<dyn Classifier> {
    let plan = PluginPlan { weights: Some(weights.path()), ..plan(&plugin) };
    open_classifier(&plan, device).unwrap()
}

pub fn linked(weights: &Weights, device: &Device) -> Box<dyn Classifier> {
    linked_with(weights, &json!({}), device)
}

/// With these keys of `config` besides.
pub fn linked_with(weights: &Weights, more: &serde_json::Value, device: &Device) -> Box<dyn Classifier> {
    let mut config = json!({"weights": weights.path()});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    link_classifier::<CandleClassifier>(&config, device, Services::default()).unwrap()
}

fn c_plugin(weights: &Weights) -> Result<Box<dyn Classifier>, Error> {
    let library = weights.folder.path().join("libc_mlp.so");
    compile(&root().join("plugins/c-mlp/mlp.c"), &[], &library);
    open_classifier(&PluginPlan { weights: Some(weights.path()), ..plan(&library) }, &Device::Cpu)
}

/// `rows` images of no particular content.
pub fn images(rows: usize) -> Tensor {
    let pixels = (0..rows * 784).map(|at| (at * 37 % 101) as f32 / 100.0).collect();
    Tensor::from_vec(pixels, (rows, 1, 28, 28), &Device::Cpu).unwrap()
}

fn bits(grades: &Grades) -> Vec<u32> {
    let all = [&grades.logits, grades.features.as_ref().unwrap()];
    let values = all.iter().flat_map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    values.map(f32::to_bits).collect()
}

/// What holds for every teacher, wherever its code, its instance and the images are.
#[track_caller]
fn behaves(teacher: &dyn Classifier, weights: &Weights, device: &Device) {
    let images = |rows| images(rows).to_device(device).unwrap();
    let info = teacher.info();
    assert_eq!((info.classes, info.channels, info.height, info.width), (10, 1, 28, 28));
    assert_eq!(info.network.as_deref(), Some(weights.network));
    for rows in [1, 5] {
        let (found, expected) = (teacher.classify(&images(rows)).unwrap(), weights.directly(&images(rows)));
        assert_eq!(found.logits.dims(), [rows, 10]);
        assert!(found.logits.device().same_device(device), "the answer is where the images are");
        assert_eq!(found.features.as_ref().unwrap().dims(), [rows, info.features.unwrap()]);
        let pairs = [
            (&found.logits, &expected.logits),
            (found.features.as_ref().unwrap(), expected.features.as_ref().unwrap()),
        ];
        for (found, expected) in pairs {
            let difference = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-5, "{difference}");
        }
        assert_eq!(bits(&found), bits(&teacher.classify(&images(rows)).unwrap()), "the same twice");
    }
    // A view into a larger batch is lent as it is; a transposed one is made compact first.
    let batch = images(6);
    let (view, copy) = (batch.narrow(0, 2, 3).unwrap(), batch.narrow(0, 2, 3).unwrap().copy().unwrap());
    assert_eq!(bits(&teacher.classify(&view).unwrap()), bits(&teacher.classify(&copy).unwrap()));
    let turned = batch.transpose(2, 3).unwrap();
    let compact = turned.contiguous().unwrap();
    assert_eq!(bits(&teacher.classify(&turned).unwrap()), bits(&teacher.classify(&compact).unwrap()));

    assert_eq!(teacher.classify(&images(0)).unwrap().logits.dims(), [0, 10]);
    let wrong = Tensor::zeros((1, 3, 28, 28), DType::F32, device).unwrap();
    let message = teacher.classify(&wrong).unwrap_err().to_string();
    assert!(message.contains("needs f32 images [n, 1, 28, 28], it got F32 [1, 3, 28, 28]"), "{message}");
}

#[test]
fn linked_in_and_opened_are_the_same_to_the_bit() {
    let networks = ["mlp", "lenet5", "resnet8"];
    for (network, device) in networks.into_iter().flat_map(|name| devices().into_iter().map(move |to| (name, to))) {
        let weights = Weights::new(network);
        let (linked, opened) = (linked(&weights, &device), opened(candle_plugin(), &weights, &device));
        behaves(linked.as_ref(), &weights, &device);
        behaves(opened.as_ref(), &weights, &device);
        let images = images(33).to_device(&device).unwrap();
        assert_eq!(bits(&linked.classify(&images).unwrap()), bits(&opened.classify(&images).unwrap()), "{network}");
        assert_eq!((linked.info().sha256.len(), opened.info().sha256.len()), (0, 64));
        let place = format!("{:?}", device.location()).to_lowercase();
        assert_eq!((&linked.info().device, &opened.info().device), (&place, &place));
    }
}

/// Images may be anywhere; the answer comes back to them.
#[test]
fn a_teacher_grades_images_that_are_elsewhere() {
    let weights = Weights::new("resnet8");
    for theirs in devices() {
        let teacher = opened(candle_plugin(), &weights, &theirs);
        devices().iter().for_each(|mine| behaves(teacher.as_ref(), &weights, mine));
    }
}

#[test]
fn a_strangers_c_teacher_agrees_with_ours() {
    let weights = Weights::new("mlp");
    for device in devices() {
        behaves(c_plugin(&weights).unwrap().as_ref(), &weights, &device);
    }
}

/// As Python's `json` writes the header, and in lines with the keys in another order.
#[test]
fn the_c_teacher_reads_headers_with_blanks() {
    let weights = Weights::new("mlp");
    let bytes = std::fs::read(weights.path()).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let spaced = std::str::from_utf8(header).unwrap().replace(':', ": ").replace(',', ", ");
    let lines = serde_json::to_string_pretty(&serde_json::from_slice::<serde_json::Value>(header).unwrap()).unwrap();
    for header in [spaced, lines] {
        std::fs::write(weights.path(), [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat())
            .unwrap();
        behaves(c_plugin(&weights).unwrap().as_ref(), &weights, &Device::Cpu);
    }
}

#[test]
fn the_c_teacher_refuses_other_weights() {
    let weights = Weights::new("lenet5");
    let message = c_plugin(&weights).err().unwrap().to_string();
    assert!(message.contains("the layers don't fit each other or square grey images"), "{message}");
    let spoilt = Weights::new("mlp");
    spoilt.spoil("fc2.weight");
    let message = c_plugin(&spoilt).err().unwrap().to_string();
    assert!(message.contains("weights.safetensors` holds NaN or an infinity in `fc2.weight`"), "{message}");
    let bytes = std::fs::read(weights.path()).unwrap();
    for length in [0, 4, 8, 100] {
        std::fs::write(weights.path(), &bytes[..length]).unwrap();
        let message = c_plugin(&weights).err().unwrap().to_string();
        assert!(message.contains("weights.safetensors`"), "{message}");
    }
}

#[test]
fn the_candle_teacher_says_what_is_wrong_with_weights_or_config() {
    let weights = Weights::new("resnet8");
    #[track_caller]
    fn refused(plan: &PluginPlan, part: &str) {
        let error = open_classifier(plan, &Device::Cpu).err().expect("it was opened");
        assert!(error.to_string().contains(part), "expected `{part}` in `{error}`");
        assert!(matches!(error, Error::Input(_)));
    }
    let bare = plan(&candle_plugin());
    let with = |config| PluginPlan { weights: Some(weights.path()), config, ..bare.clone() };
    refused(&bare, "can't be set up: it needs weights");
    refused(&with(json!({"network": "resnet9"})), "there is no network `resnet9`");
    refused(&with(json!({"network": "lenet5"})), "the checkpoint has no tensor");
    refused(&with(json!({"classes": 7})), "has shape [10, 64], the network needs [7, 64]");
    refused(&with(json!({"colour": true})), "unknown field `colour`");
    refused(&PluginPlan { weights: Some("/absent".into()), ..bare.clone() }, "`/absent`: No such file");
    weights.spoil("layer1.0.bn1.running_var");
    refused(&with(json!({})), "weights.safetensors` holds NaN in tensor `layer1.0.bn1.running_var`: it is damaged");
    std::fs::write(weights.path(), "{}").unwrap();
    refused(&with(json!({})), "is not a readable safetensors file");
}

/// The share of the first thousand test digits that a teacher names rightly.
fn accuracy(teacher: &dyn Classifier) -> f64 {
    let mnist = root().join("assets/mnist");
    let files = |name: &str| Files::Idx {
        images: mnist.join(format!("{name}-images-idx3-ubyte.gz")),
        labels: mnist.join(format!("{name}-labels-idx1-ubyte.gz")),
    };
    let data =
        DataPlan { format: Format::Idx, classes: 10, size: None, channels: 3, train: None, test: Some(files("t10k")) };
    let digits = data::load(&data, data::Split::Test, &Progress::new(Shown::Quiet)).unwrap();
    let rows: Vec<usize> = (0..1000).collect();
    let right: usize = rows.chunks(100).map(|rows| right_answers(teacher, &digits, rows)).sum();
    right as f64 / rows.len() as f64
}

fn right_answers(teacher: &dyn Classifier, digits: &data::Dataset, rows: &[usize]) -> usize {
    let (images, labels) = digits.batch(rows).unwrap();
    let answers = teacher.classify(&images).unwrap().logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
    answers.iter().zip(&labels).filter(|(answer, label)| answer == label).count()
}

#[test]
fn the_committed_teachers_know_their_digits() {
    let committed = |name: &str| root().join(format!("assets/mnist/teacher-{name}.safetensors"));
    let open = |plugin: PathBuf, name: &str| {
        let plan = PluginPlan { weights: Some(committed(name)), ..plan(&plugin) };
        open_classifier(&plan, &Device::Cpu).unwrap()
    };
    for (name, least) in [("weak", 0.93), ("middle", 0.97), ("strong", 0.985)] {
        let found = accuracy(open(candle_plugin(), name).as_ref());
        assert!(found >= least, "{name}: {found}");
    }
    let folder = tempfile::tempdir().unwrap();
    let in_c = folder.path().join("libc_mlp.so");
    compile(&root().join("plugins/c-mlp/mlp.c"), &[], &in_c);
    let difference = accuracy(open(in_c, "weak").as_ref()) - accuracy(open(candle_plugin(), "weak").as_ref());
    assert!(difference.abs() <= 0.001, "C and candle differ by {difference}");
}
