//! The operations against naive references, finite differences and PyTorch's numbers, on every device there is.

mod batch_norm;
mod conv;
mod golden;
mod mobile;
mod nan;
mod pool;
mod stretch;
mod transformer;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Makes a test of a function over a device: always on the CPU, with its kernels and with candle's operations, which other
/// devices have; and on the first CUDA device where one is compiled in and present.
#[macro_export]
macro_rules! on_each_device {
    ($($name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            for device in limbeck_models::testing::devices() {
                super::$name(&device);
            }
            limbeck_models::ops::cpu::without_kernels(|| super::$name(&candle_core::Device::Cpu));
        }
    )* };
}

/// Standard normal numbers, the same for the same seed and shape.
fn random(seed: u64, shape: &[usize], device: &Device) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values = (0..shape.iter().product()).map(|_| rng.sample::<f32, _>(rand_distr::StandardNormal));
    Tensor::from_vec(values.collect::<Vec<f32>>(), shape, device).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Fails unless every element agrees within `tolerance`, relative to the largest element.
#[track_caller]
fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(1e-3f32, |max, v| max.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{what}: element {i} is {f}, expected {e} (scale {scale})");
    }
}

/// Compares the gradient of `Σ f(inputs) · r`, r random, with central differences along a random direction of each input.
#[track_caller]
fn check_gradient(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Tensor, step: f64, tolerance: f64) {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tracked);
    let r = random(99, y.dims(), y.device());
    let loss = |y: &Tensor| -> f64 { values(&(y * &r).unwrap()).iter().map(|&v| f64::from(v)).sum() };
    let grads = (&y * &r).unwrap().sum_all().unwrap().backward().unwrap();
    for (i, var) in vars.iter().enumerate() {
        let direction = random(100 + i as u64, inputs[i].dims(), y.device());
        let moved = |sign: f64| {
            let mut moved: Vec<Tensor> = inputs.to_vec();
            moved[i] = (&inputs[i] + (&direction * (sign * step)).unwrap()).unwrap();
            loss(&f(&moved))
        };
        let expected = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        let grad = grads.get(var).unwrap_or_else(|| panic!("input {i} has no gradient"));
        let found: f64 = values(&(grad * &direction).unwrap()).iter().map(|&v| f64::from(v)).sum();
        let scale = values(grad).iter().map(|&v| f64::from(v * v)).sum::<f64>().sqrt().max(1.0);
        assert!((found - expected).abs() <= tolerance * scale, "input {i}: {found}, by differences {expected}");
    }
}
