//! Pooling: against the definition and differences.

use candle_core::{Device, Tensor, Var};
use limbeck_models::ops::{avg_pool2d, global_avg_pool, max_pool2d};

use crate::{assert_close, check_gradient, random, values};

/// size, kernel, stride, padding
const CASES: &[([usize; 4], usize, usize, usize)] = &[
    ([2, 3, 8, 8], 2, 2, 0),
    ([1, 2, 7, 9], 2, 2, 0),
    ([2, 2, 9, 7], 3, 2, 1),
    ([1, 3, 6, 6], 3, 1, 1),
    ([2, 1, 5, 5], 5, 1, 0),
    ([1, 2, 40, 37], 3, 2, 1),
    ([2, 1, 8, 10], 3, 2, 0),
    ([1, 2, 8, 11], 2, 3, 1),
    ([1, 1, 9, 1], 1, 2, 0),
];

/// Every window's inputs, reduced.
fn reference(x: &Tensor, k: usize, stride: usize, padding: usize, reduce: fn(&[f32]) -> f32) -> Tensor {
    let (n, c, h, w) = x.dims4().unwrap();
    let out = |size: usize| (size + 2 * padding - k) / stride + 1;
    let (oh, ow, xs) = (out(h), out(w), values(x));
    let window = |plane: usize, oy: usize, ox: usize| -> Vec<f32> {
        let taps = (0..k * k).map(|t| (oy * stride + t / k, ox * stride + t % k));
        let inside = taps.filter(|&(y, x)| (padding..h + padding).contains(&y) && (padding..w + padding).contains(&x));
        inside.map(|(y, x)| xs[(plane * h + y - padding) * w + x - padding]).collect()
    };
    let y = (0..n * c * oh * ow).map(|i| reduce(&window(i / (oh * ow), i / ow % oh, i % ow)));
    Tensor::from_vec(y.collect::<Vec<_>>(), (n, c, oh, ow), &Device::Cpu).unwrap()
}

fn max(window: &[f32]) -> f32 {
    window.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn mean(window: &[f32]) -> f32 {
    window.iter().sum::<f32>() / window.len() as f32
}

fn matches_the_definition(device: &Device) {
    for &(shape, k, stride, padding) in CASES {
        // Below zero everywhere, so that padding with zeros would show.
        let x = (random(1, &shape, device) - 10.0).unwrap();
        let what = format!("{shape:?} {k} {stride} {padding} on {device:?}");
        assert_close(
            &what,
            &max_pool2d(&x, k, stride, padding).unwrap(),
            &reference(&x, k, stride, padding, max),
            1e-5,
        );
        assert_close(&what, &avg_pool2d(&x, k, stride).unwrap(), &reference(&x, k, stride, 0, mean), 1e-5);
    }
    let x = random(1, &[3, 4, 5, 7], device);
    let expected = x.mean((2, 3)).unwrap();
    assert_close("global", &global_avg_pool(&x).unwrap(), &expected, 1e-5);
}

fn gradient_agrees_with_differences(device: &Device) {
    for &(shape, k, stride, padding) in CASES {
        let x = random(1, &shape, device);
        check_gradient(std::slice::from_ref(&x), |t| max_pool2d(&t[0], k, stride, padding).unwrap(), 1e-4, 2e-2);
        check_gradient(std::slice::from_ref(&x), |t| avg_pool2d(&t[0], k, stride).unwrap(), 1e-2, 2e-3);
        check_gradient(&[x], |t| global_avg_pool(&t[0]).unwrap(), 1e-2, 2e-3);
    }
}

/// Of few different values, so that windows have several largest ones; of infinities and of what is no number, too.
#[test]
fn the_first_of_equal_values_takes_the_gradient() {
    for &(shape, k, stride, padding) in CASES {
        let few = values(&random(1, &shape, &Device::Cpu)).into_iter().map(|v| match v.round() {
            v if v < -1.0 => f32::NEG_INFINITY,
            v if v > 2.0 => f32::NAN,
            v => v,
        });
        let xs: Vec<f32> = few.collect();
        let x = Var::from_tensor(&Tensor::from_slice(&xs, &shape, &Device::Cpu).unwrap()).unwrap();
        let y = max_pool2d(&x, k, stride, padding).unwrap();
        let r = random(2, y.dims(), &Device::Cpu);
        let [_, _, h, w] = shape;
        let (_, _, oh, ow) = y.dims4().unwrap();
        let mut expected = vec![0.0; xs.len()];
        for (i, r) in values(&r).into_iter().enumerate() {
            let (plane, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
            let taps = (0..k * k).map(|t| (oy * stride + t / k, ox * stride + t % k));
            let inside =
                taps.filter(|&(y, x)| (padding..h + padding).contains(&y) && (padding..w + padding).contains(&x));
            let places = inside.map(|(y, x)| (plane * h + y - padding) * w + x - padding);
            let first = places.reduce(|best, at| match (xs[best], xs[at]) {
                (most, _) if most.is_nan() => best,
                (most, x) if x > most || x.is_nan() => at,
                _ => best,
            });
            expected[first.unwrap()] += r;
        }
        let grads = (y * r).unwrap().sum_all().unwrap().backward().unwrap();
        let expected = Tensor::from_vec(expected, &shape, &Device::Cpu).unwrap();
        assert_close(&format!("{shape:?} {k} {stride} {padding}"), grads.get(&x).unwrap(), &expected, 1e-6);
    }
}

fn of_equal_values_the_first_takes_the_gradient(device: &Device) {
    let x = Var::ones((1, 1, 2, 2), candle_core::DType::F32, device).unwrap();
    let grads = max_pool2d(&x, 2, 2, 0).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(values(grads.get(&x).unwrap()), [1.0, 0.0, 0.0, 0.0]);
}

/// In training; without a gradient it is the device's business.
fn a_diverged_value_shows(device: &Device) {
    let x = Tensor::from_vec(vec![1.0f32, f32::NAN, 2.0, 0.0], (1, 1, 2, 2), device).unwrap();
    assert!(values(&max_pool2d(&Var::from_tensor(&x).unwrap(), 2, 2, 0).unwrap())[0].is_nan());
}

#[test]
fn refuses_what_is_not_possible() {
    let x = random(1, &[1, 1, 4, 4], &Device::Cpu);
    for (kernel, stride, padding) in [(0, 1, 0), (2, 0, 0), (5, 1, 0), (2, 2, 2)] {
        assert!(max_pool2d(&x, kernel, stride, padding).unwrap_err().to_string().contains("not possible"));
    }
}

mod each {
    crate::on_each_device!(
        matches_the_definition,
        gradient_agrees_with_differences,
        of_equal_values_the_first_takes_the_gradient,
        a_diverged_value_shows
    );
}
