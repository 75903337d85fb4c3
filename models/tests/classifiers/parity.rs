//! Every network against PyTorch (`tests/golden/make_classifiers.py`): the same weights, recomputed from names, must give
//! the same logits and features.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use limbeck_models::checkpoint::{self, Checkpoint};
use limbeck_models::classifier::Mode;
use limbeck_models::{Params, classifier};

use crate::hashed::{images, weights};

/// Of the largest element, for logits and features.
const TOLERANCE: f32 = 1e-4;

/// The networks for digits, whose plugin in C computes the same numbers (host/tests/backends).
const WITHOUT_GOLDEN: &[&str] = &["mlp", "lenet5", "lenet5-half"];

fn golden() -> &'static Checkpoint {
    static GOLDEN: OnceLock<Checkpoint> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/classifiers.safetensors");
        checkpoint::load(&path).unwrap()
    })
}

/// The largest difference over the largest value.
fn error(found: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (flat(found), flat(expected));
    let scale = expected.iter().fold(0f32, |max, v| max.max(v.abs()));
    let errors = found.iter().zip(&expected).map(|(f, e)| (f - e).abs() / scale);
    errors.fold(0f32, |max, error| if error > max || error.is_nan() { error } else { max })
}

/// `name` is a network's, and what is said of its form in brackets behind it.
#[track_caller]
fn check(name: &str) {
    let golden = golden();
    let network = name.split(' ').next().unwrap();
    let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_str(&golden.metadata[name]).unwrap();
    let size = golden.metadata[&format!("{name}.size")].parse().unwrap();
    let gain = golden.metadata[&format!("{name}.gain")].parse().unwrap();
    let tensors: BTreeMap<_, _> = shapes.iter().map(|(key, shape)| (key.clone(), weights(key, shape, gain))).collect();
    let params = Params::frozen(tensors, DType::F32, &Device::Cpu);
    let built = classifier::build(network, 10, 3, size, &params).unwrap();
    assert_eq!(params.unused(), Vec::<String>::new(), "{name} does not use every tensor of PyTorch's");
    let found = built.forward(&images(2, size), Mode::Evaluation).unwrap();
    let logits = error(&found.logits, &golden.tensors[&format!("{name}.logits")]);
    let features = error(&found.features, &golden.tensors[&format!("{name}.features")]);
    let learnt = shapes.iter().filter(|(key, _)| !key.contains(".running_"));
    let count: usize = learnt.map(|(_, shape)| shape.iter().product::<usize>()).sum();
    // With --nocapture, the rows of docs/networks.md.
    println!("| `{name}` | {:.2} M | {size} | {logits:.1e} | {features:.1e} |", count as f64 / 1e6);
    assert!(logits <= TOLERANCE && features <= TOLERANCE, "{name}: logits {logits:e}, features {features:e}");
}

macro_rules! families {
    ($($family:ident: $($name:literal)*;)*) => {
        $(#[test]
        fn $family() {
            for name in [$($name),*] {
                check(name);
            }
        })*

        const CHECKED: &[&str] = &[$($($name),*),*];
    };
}

families! {
    cifar_resnets: "resnet8" "resnet8-half" "resnet14" "resnet20" "resnet32" "resnet44" "resnet56" "resnet110"
        "resnet8x4" "resnet32x4";
    cifar_resnets_of_four_stages: "cifar-resnet18" "cifar-resnet34" "cifar-resnet50";
    wide_resnets: "wrn-16-1" "wrn-16-2" "wrn-40-1" "wrn-40-2";
    cifar_vggs: "cifar-vgg8" "cifar-vgg11" "cifar-vgg13" "cifar-vgg16" "cifar-vgg19";
    resnets: "resnet18" "resnet34" "resnet50" "resnet101" "wide_resnet50_2";
    resnets_with_the_other_stem: "resnet18 (7×7)" "resnet50 (7×7)" "resnet18 (3×3)" "resnet50 (3×3)";
    vggs: "vgg11" "vgg13" "vgg16" "vgg19" "vgg11_bn" "vgg13_bn" "vgg16_bn" "vgg19_bn";
    mobile_networks: "mobilenet_v2" "shufflenet_v2_x1_0" "efficientnet_b0";
    transformers_and_their_like: "vit_b_16" "convnext_tiny";
}

#[test]
fn every_network_is_checked() {
    let missing: Vec<_> =
        classifier::names().filter(|name| !CHECKED.contains(name) && !WITHOUT_GOLDEN.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
