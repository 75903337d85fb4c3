//! Image gradients through the ABI, linked in and opened: against finite differences, and what is refused.

use candle_core::{DType, Device, Tensor};
use limbeck::backend::Classifier;
use serde_json::json;

use crate::support::{Hostile, devices, images as tiny};
use crate::teachers::{Weights, candle_plugin, images, linked, linked_with, opened};

const ROWS: usize = 3;

/// One number an output, of both signs.
fn direction() -> Tensor {
    let values: Vec<f32> = (0..ROWS * 10).map(|at| (at * 29 % 17) as f32 / 8.0 - 1.0).collect();
    Tensor::from_vec(values, (ROWS, 10), &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    flat(a).iter().zip(flat(b)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
}

/// `vjp · δ` against `(f(x + hδ) − f(x − hδ)) / 2h` for three random δ, relative to the gradient's own length times δ's.
#[track_caller]
fn differences_agree(teacher: &dyn Classifier, tolerance: f64, device: &Device) {
    const STEP: f64 = 1e-2;
    let (x, d) = (images(ROWS).to_device(device).unwrap(), direction().to_device(device).unwrap());
    let gradient = teacher.image_gradient(&x, &d).unwrap();
    assert_eq!(gradient.dims(), x.dims());
    let value = |x: &Tensor| dot(&teacher.classify(x).unwrap().logits, &d);
    for seed in 1..=3usize {
        let along: Vec<f32> =
            (0..x.elem_count()).map(|at| ((at * seed * 7919 + seed) % 13) as f32 / 6.0 - 1.0).collect();
        let along = Tensor::from_vec(along, x.dims(), device).unwrap();
        let length = dot(&along, &along).sqrt();
        let unit = along.affine(1.0 / length, 0.0).unwrap();
        let at = |step: f64| value(&(&x + unit.affine(step, 0.0).unwrap()).unwrap());
        let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        let (found, scale) = (dot(&gradient, &unit), dot(&gradient, &gradient).sqrt() / (x.elem_count() as f64).sqrt());
        let off = (found - expected).abs() / (expected.abs() + scale);
        assert!(off < tolerance, "seed {seed}: {found} by vjp, {expected} by differences, scale {scale}");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for device in devices() {
        gradients_agree_on(&device);
    }
}

fn gradients_agree_on(device: &Device) {
    for (network, tolerance) in [("mlp", 0.02), ("lenet5", 0.05), ("resnet8", 0.05)] {
        let weights = Weights::new(network);
        let (linked, opened) = (linked(&weights, device), opened(candle_plugin(), &weights, device));
        differences_agree(linked.as_ref(), tolerance, device);
        differences_agree(opened.as_ref(), tolerance, device);
        let (x, d) = (images(ROWS).to_device(device).unwrap(), direction().to_device(device).unwrap());
        let (one, other) = (linked.image_gradient(&x, &d).unwrap(), opened.image_gradient(&x, &d).unwrap());
        let bits = |tensor: &Tensor| flat(tensor).iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&one), bits(&other), "{network}");
        // Each image's gradient is its own business.
        let first = linked.image_gradient(&x.narrow(0, 0, 1).unwrap(), &d.narrow(0, 0, 1).unwrap()).unwrap();
        let apart = (one.narrow(0, 0, 1).unwrap() - first).unwrap().abs().unwrap();
        assert!(flat(&apart).into_iter().fold(0.0, f32::max) < 1e-5, "{network}");
    }
}

/// The plugin takes large batches in pieces, of 4012 such images.
#[test]
fn a_large_batch_has_the_gradients_of_its_images() {
    const MANY: usize = 4100;
    let weights = Weights::new("mlp");
    let teacher = linked(&weights, &Device::Cpu);
    let directions: Vec<f32> = (0..MANY * 10).map(|at| (at * 29 % 17) as f32 / 8.0 - 1.0).collect();
    let d = Tensor::from_vec(directions, (MANY, 10), &Device::Cpu).unwrap();
    let x = images(MANY);
    let all = teacher.image_gradient(&x, &d).unwrap();
    assert_eq!(all.dims(), x.dims());
    for start in (0..MANY).step_by(1000).chain([4007, MANY - 10]) {
        let some = |of: &Tensor| of.narrow(0, start, 10).unwrap();
        let apart = (some(&all) - teacher.image_gradient(&some(&x), &some(&d)).unwrap()).unwrap().abs().unwrap();
        assert!(flat(&apart).into_iter().fold(0.0, f32::max) < 1e-5, "image {start}");
    }
}

#[test]
fn they_go_back_through_a_resize() {
    let weights = Weights::new("resnet8");
    for (size, resize, interpolation) in [(28, 40, "bilinear"), (20, 24, "bilinear"), (36, 36, "bicubic")] {
        let config = json!({"size": size, "input": 28, "resize": resize, "interpolation": interpolation});
        for device in devices() {
            differences_agree(linked_with(&weights, &config, &device).as_ref(), 0.05, &device);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let weights = Weights::new("mlp");
    for teacher in [linked(&weights, &Device::Cpu), opened(candle_plugin(), &weights, &Device::Cpu)] {
        let wrong = Tensor::zeros((ROWS, 9), DType::F32, &Device::Cpu).unwrap();
        let message = teacher.image_gradient(&images(ROWS), &wrong).unwrap_err().to_string();
        assert!(message.contains("needs f32 gradients of logits [3, 10], it got F32 [3, 9]"), "{message}");
        let none = teacher.image_gradient(&images(0), &direction().narrow(0, 0, 0).unwrap()).unwrap();
        assert_eq!(none.dims(), [0, 1, 28, 28]);
    }
    let without = Hostile::new(&[]).open().unwrap();
    let d = Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap();
    let message = without.image_gradient(&tiny(1), &d).unwrap_err().to_string();
    assert!(message.contains("gives no image gradients: name one whose manifest lists `vjp`"), "{message}");
}
