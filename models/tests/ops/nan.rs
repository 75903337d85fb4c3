//! No ReLU hides a NaN, whatever kernel it is part of: PyTorch's `max(NaN, 0)` is NaN too.

use candle_core::{Device, Tensor};
use limbeck_models::ops::{Activation, Inference, Norm, Stretch, batch_norm, conv2d_norm, relu, relu6};

use crate::conv::CASES;
use crate::{random, values};

/// Random images of which the first is all NaN.
fn spoilt(shape: &[usize]) -> Tensor {
    let mut pixels = values(&random(1, shape, &Device::Cpu));
    let image = shape[1..].iter().product();
    pixels[..image].fill(f32::NAN);
    Tensor::from_vec(pixels, shape, &Device::Cpu).unwrap()
}

/// Fails unless `found` is `max(plain, 0)`, NaN where `plain` is, in the first image everywhere.
#[track_caller]
fn check(what: &str, found: &Tensor, plain: &Tensor) {
    let image: usize = plain.dims()[1..].iter().product();
    let (found, plain) = (values(found), values(plain));
    assert!(plain[..image].iter().all(|v| v.is_nan()), "{what}: the first image has no NaN even without a ReLU");
    for (i, (&found, &plain)) in found.iter().zip(&plain).enumerate() {
        let right = if plain.is_nan() { found.is_nan() } else { found == plain.max(0.0) };
        assert!(right, "{what}: element {i} is {found}, without a ReLU {plain}");
    }
}

#[test]
fn convolutions() {
    for case in CASES {
        let &(images, outputs, kernel, stride, padding, groups) = case;
        let (x, w) = (spoilt(&images), random(2, &[outputs, images[1] / groups, kernel, kernel], &Device::Cpu));
        let [weight, bias, mean] = [3, 4, 5].map(|seed| random(seed, &[outputs], &Device::Cpu));
        let var = (mean.sqr().unwrap() + 0.1).unwrap();
        let run = |residual: Option<&Tensor>, relu, activation| {
            let norm = Norm { weight: &weight, bias: &bias, eps: 1e-5, residual, relu };
            conv2d_norm(&x, &w, norm, (&mean, &var), stride, padding, activation).unwrap()
        };
        let plain = run(None, false, Activation::None);
        // Padding that reaches beyond the kernel leaves places that see no pixel.
        if padding >= kernel {
            continue;
        }
        check(&format!("{case:?}"), &run(None, true, Activation::None), &plain);
        check(&format!("{case:?}"), &run(None, false, Activation::Relu), &plain);
        let clipped = run(None, false, Activation::Relu6);
        assert!(values(&clipped.get(0).unwrap()).iter().all(|v| v.is_nan()), "{case:?}");
        let residual = random(6, plain.dims(), &Device::Cpu);
        let plain = run(Some(&residual), false, Activation::None);
        check(&format!("{case:?} and a residual"), &run(Some(&residual), true, Activation::None), &plain);
    }
}

#[test]
fn normalisations() {
    let x = spoilt(&[3, 5, 7, 9]);
    let [weight, bias, mean] = [3, 4, 5].map(|seed| random(seed, &[5], &Device::Cpu));
    let var = (mean.sqr().unwrap() + 0.1).unwrap();
    let residual = random(6, x.dims(), &Device::Cpu);
    for residual in [None, Some(&residual)] {
        let norm = |relu| Norm { weight: &weight, bias: &bias, eps: 1e-5, residual, relu };
        for running in [None, Some((&mean, &var))] {
            let run = |relu| batch_norm(&x, norm(relu), running).unwrap().0;
            check("batch_norm", &run(true), &run(false));
        }
    }
    let norm = |relu| Norm { weight: &weight, bias: &bias, eps: 1e-5, residual: None, relu };
    let recorded = |relu| {
        let (mut stretch, start) = Stretch::new(&x).unwrap();
        let (y, _) = stretch.normalisation(start, norm(relu), None).unwrap();
        stretch.finish(y).unwrap()
    };
    check("stretch", &recorded(true), &recorded(false));
    let pass = Inference::default();
    let images = pass.begin(&x).unwrap();
    let means = |relu| pass.normalisation(&images, (norm(relu), (&mean, &var))).unwrap().means().unwrap();
    assert!(values(&means(true).get(0).unwrap()).iter().all(|v| v.is_nan()));
    assert!(values(&means(true)).iter().skip(5).all(|v| *v >= 0.0));
}

#[test]
fn alone() {
    let x = spoilt(&[2, 3, 50, 41]);
    check("relu", &relu(&x).unwrap(), &x);
    assert!(values(&relu6(&x).unwrap().get(0).unwrap()).iter().all(|v| v.is_nan()));
}
