//! Batch normalisation: against candle's composition, differences, and degenerate batches.

use candle_core::{Device, Tensor, Var};
use limbeck_models::ops::{Norm, batch_norm};

use crate::{assert_close, check_gradient, random, values};

const SHAPES: &[[usize; 4]] = &[[4, 3, 5, 7], [2, 8, 16, 16], [8, 5, 1, 1], [3, 4, 33, 9]];

/// y, dx, dweight, dbias, dresidual from plain tensor operations.
fn reference(t: &[Tensor], residual: bool, relu: bool, dy: &Tensor) -> Vec<Tensor> {
    let vars: Vec<Var> = t.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let (x, c) = (vars[0].as_tensor(), t[0].dim(1).unwrap());
    let spread = |t: &Tensor| t.reshape((1, c, 1, 1)).unwrap();
    let mean = x.mean_keepdim((0, 2, 3)).unwrap();
    let centred = x.broadcast_sub(&mean).unwrap();
    let var = centred.sqr().unwrap().mean_keepdim((0, 2, 3)).unwrap();
    let normal = centred.broadcast_div(&(var + 1e-5).unwrap().sqrt().unwrap()).unwrap();
    let mut y = normal.broadcast_mul(&spread(&vars[1])).unwrap().broadcast_add(&spread(&vars[2])).unwrap();
    if residual {
        y = (y + vars[3].as_tensor()).unwrap();
    }
    if relu {
        y = y.relu().unwrap();
    }
    let grads = (&y * dy).unwrap().sum_all().unwrap().backward().unwrap();
    let used = vars.iter().take(if residual { 4 } else { 3 });
    std::iter::once(y.clone()).chain(used.map(|v| grads.get(v).unwrap().clone())).collect()
}

fn inputs(shape: [usize; 4], device: &Device) -> Vec<Tensor> {
    let x = ((random(1, &shape, device) * 2.0).unwrap() + 3.0).unwrap();
    vec![x, random(2, &[shape[1]], device), random(3, &[shape[1]], device), random(4, &shape, device)]
}

fn norm<'a>(t: &'a [Tensor], residual: bool, relu: bool) -> Norm<'a> {
    Norm { weight: &t[1], bias: &t[2], eps: 1e-5, residual: residual.then(|| &t[3]), relu }
}

fn matches_the_composition(device: &Device) {
    for &shape in SHAPES {
        for (residual, relu) in [(false, false), (false, true), (true, false), (true, true)] {
            let t = inputs(shape, device);
            let dy = random(5, &shape, device);
            let vars: Vec<Var> = t.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
            let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
            let (y, stats) = batch_norm(&tracked[0], norm(&tracked, residual, relu), None).unwrap();
            let grads = (&y * &dy).unwrap().sum_all().unwrap().backward().unwrap();
            let expected = reference(&t, residual, relu, &dy);
            let what = format!("{shape:?}, residual {residual}, relu {relu}, on {device:?}");
            assert_close(&what, &y, &expected[0], 1e-5);
            for (var, expected) in vars.iter().zip(&expected[1..]) {
                assert_close(&what, grads.get(var).unwrap(), expected, 3e-5);
            }
            let mean = t[0].mean((0, 2, 3)).unwrap();
            assert_close(&what, &stats.unwrap().mean, &mean, 1e-5);
        }
    }
}

fn gradient_agrees_with_differences(device: &Device) {
    for &shape in &SHAPES[..2] {
        let t = inputs(shape, device);
        let batch = |t: &[Tensor]| batch_norm(&t[0], norm(t, true, false), None).unwrap().0;
        check_gradient(&t, batch, 1e-2, 5e-3);
        let (mean, var) = (random(6, &[shape[1]], device), random(7, &[shape[1]], device).sqr().unwrap());
        let running = |t: &[Tensor]| batch_norm(&t[0], norm(t, true, false), Some((&mean, &var))).unwrap().0;
        check_gradient(&t, running, 1e-2, 5e-3);
    }
}

fn running_statistics_replace_the_batch(device: &Device) {
    let t = inputs([2, 3, 4, 4], device);
    let (mean, var) = (random(6, &[3], device), (random(7, &[3], device).sqr().unwrap() + 0.1).unwrap());
    let (y, stats) = batch_norm(&t[0], norm(&t, false, true), Some((&mean, &var))).unwrap();
    assert!(stats.is_none());
    let spread = |t: &Tensor| t.reshape((1, 3, 1, 1)).unwrap();
    let scale = (&t[1] / (var + 1e-5).unwrap().sqrt().unwrap()).unwrap();
    let expected = t[0].broadcast_sub(&spread(&mean)).unwrap().broadcast_mul(&spread(&scale)).unwrap();
    let expected = expected.broadcast_add(&spread(&t[2])).unwrap().relu().unwrap();
    assert_close("running", &y, &expected, 1e-5);
}

fn one_value_a_channel_is_not_nan(device: &Device) {
    let x = Var::from_tensor(&random(1, &[1, 3, 1, 1], device)).unwrap();
    let (w, b) = (random(2, &[3], device), random(3, &[3], device));
    let norm = Norm { weight: &w, bias: &b, eps: 1e-5, residual: None, relu: false };
    let (y, _) = batch_norm(&x, norm, None).unwrap();
    assert_close("the bias remains", &y.flatten_all().unwrap(), &b, 1e-4);
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(values(grads.get(&x).unwrap()).iter().all(|g| g.is_finite()));
}

#[test]
fn refuses_what_does_not_fit() {
    let t = inputs([2, 3, 4, 4], &Device::Cpu);
    let short = random(2, &[2], &Device::Cpu);
    let wrong = Norm { weight: &short, ..norm(&t, false, false) };
    assert!(batch_norm(&t[0], wrong, None).err().unwrap().to_string().contains("weight [2]"));
    let wrong = Norm { residual: Some(&short), ..norm(&t, false, false) };
    assert!(batch_norm(&t[0], wrong, None).err().unwrap().to_string().contains("residual of shape [2]"));
}

mod each {
    crate::on_each_device!(
        matches_the_composition,
        gradient_agrees_with_differences,
        running_statistics_replace_the_batch,
        one_value_a_channel_is_not_nan
    );
}
