//! A stretch gives what its operations give one by one: images, statistics and every gradient.

use candle_core::{DType, Device, Tensor, Var};
use limbeck_models::ops::{Norm, Stretch, Value, batch_norm, conv2d, max_pool2d};

use crate::{assert_close, random};

/// The weights of a block: three convolutions and two normalisations of `c` channels in, `o` out.
fn weights(c: usize, o: usize) -> Vec<Var> {
    let shapes = [vec![o, c, 3, 3], vec![o], vec![o], vec![o, o, 3, 3], vec![o], vec![o], vec![o, c, 1, 1]];
    let random = |(i, shape): (usize, Vec<usize>)| random(10 + i as u64, &shape, &Device::Cpu);
    shapes.into_iter().enumerate().map(random).map(|t| Var::from_tensor(&t).unwrap()).collect()
}

fn norm<'a>(weight: &'a Var, bias: &'a Var, residual: Option<&'a Tensor>, relu: bool) -> Norm<'a> {
    Norm { weight: weight.as_tensor(), bias: bias.as_tensor(), eps: 1e-5, residual, relu }
}

/// Between two pools, a residual block with a projection, whose input is used three times, in the order of a wide residual network and then of
/// a residual one.
fn recorded(x: &Tensor, w: &[Var], stride: usize) -> Tensor {
    let (mut stretch, x) = Stretch::new(x).unwrap();
    let x = stretch.max_pool(x, 3, 1, 1).unwrap();
    let window = |stride| (stride, 1, 1);
    let a = stretch.convolution(x, &w[0], window(stride), None).unwrap();
    let (b, _) = stretch.normalisation(a, norm(&w[1], &w[2], None, true), None).unwrap();
    let skip = stretch.convolution(x, &w[6], (stride, 0, 1), Some(b)).unwrap();
    let c = stretch.convolution(b, &w[3], window(1), Some(skip)).unwrap();
    let (d, _) = stretch.normalisation(c, norm(&w[4], &w[5], None, false), Some(skip)).unwrap();
    let again = stretch.convolution(x, &w[6], (stride, 0, 1), Some(d)).unwrap();
    let (y, _) = stretch.normalisation(again, norm(&w[1], &w[2], None, true), Some(b)).unwrap();
    let y = stretch.max_pool(y, 3, 2, 1).unwrap();
    stretch.finish(y).unwrap()
}

fn one_by_one(x: &Tensor, w: &[Var], stride: usize) -> Tensor {
    let conv = |x: &Tensor, w: &Var, stride, padding| conv2d(x, w, None, stride, padding, 1).unwrap();
    let x = &max_pool2d(x, 3, 1, 1).unwrap();
    let b = batch_norm(&conv(x, &w[0], stride, 1), norm(&w[1], &w[2], None, true), None).unwrap().0;
    let skip = (conv(x, &w[6], stride, 0) + &b).unwrap();
    let c = (conv(&b, &w[3], 1, 1) + &skip).unwrap();
    let d = batch_norm(&c, norm(&w[4], &w[5], Some(&skip), false), None).unwrap().0;
    let again = (conv(x, &w[6], stride, 0) + &d).unwrap();
    max_pool2d(&batch_norm(&again, norm(&w[1], &w[2], Some(&b), true), None).unwrap().0, 3, 2, 1).unwrap()
}

#[test]
fn agrees_with_its_operations_one_by_one() {
    for (shape, outputs, stride) in [([3, 5, 9, 7], 6, 1), ([2, 16, 12, 12], 32, 2), ([4, 24, 8, 8], 24, 1)] {
        let w = weights(shape[1], outputs);
        let input = Var::from_tensor(&random(1, &shape, &Device::Cpu)).unwrap();
        // What comes before and after belongs to candle's graph.
        let run = |block: fn(&Tensor, &[Var], usize) -> Tensor| {
            let y = block(&(input.as_tensor() * 2.0).unwrap(), &w, stride);
            let r = random(2, y.dims(), &Device::Cpu);
            (y.clone(), (y * r).unwrap().sum_all().unwrap().backward().unwrap())
        };
        let ((y, grads), (expected, expected_grads)) = (run(recorded), run(one_by_one));
        let what = format!("{shape:?} to {outputs} at stride {stride}");
        assert_close(&what, &y, &expected, 1e-6);
        for (i, var) in w.iter().chain([&input]).enumerate() {
            let (found, expected) = (grads.get(var).unwrap(), expected_grads.get(var).unwrap());
            assert_close(&format!("{what}, gradient {i}"), found, expected, 1e-5);
        }
    }
}

#[test]
fn only_what_is_trained_gets_a_gradient() {
    let w = weights(5, 5);
    let x = random(1, &[2, 5, 6, 6], &Device::Cpu);
    let grads = recorded(&x, &w, 1).sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none());
    assert!(w.iter().all(|w| grads.get(w).is_some()));
    let frozen = w[0].as_detached_tensor();
    let (mut stretch, start) = Stretch::new(&x).unwrap();
    let y = stretch.convolution(start, &frozen, (1, 1, 1), None).unwrap();
    let y = stretch.convolution(y, &w[3], (1, 1, 1), None).unwrap();
    let grads = stretch.finish(y).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&frozen).is_none() && grads.get(&w[3]).is_some());
}

#[test]
fn statistics_are_those_of_the_batch() {
    let (w, x) = (weights(4, 4), random(1, &[3, 4, 5, 5], &Device::Cpu));
    let (mut stretch, start) = Stretch::new(&x).unwrap();
    let (_, found) = stretch.normalisation(start, norm(&w[1], &w[2], None, true), None).unwrap();
    let expected = batch_norm(&x, norm(&w[1], &w[2], None, true), None).unwrap().1.unwrap();
    assert_close("mean", &found.mean, &expected.mean, 1e-6);
    assert_close("var", &found.var, &expected.var, 1e-6);
}

#[test]
fn refuses_what_does_not_fit() {
    let (w, x) = (weights(4, 6), random(1, &[3, 4, 5, 5], &Device::Cpu));
    let (mut stretch, start) = Stretch::new(&x).unwrap();
    let error = |e: candle_core::Error| e.to_string();
    let wide = error(stretch.convolution(start, &w[3], (1, 1, 1), None).unwrap_err());
    assert!(wide.contains("do not fit"), "{wide}");
    let residual = error(stretch.convolution(start, &w[0], (1, 1, 1), Some(start)).unwrap_err());
    assert!(residual.contains("a residual of shape [3, 4, 5, 5]"), "{residual}");
    let channels = error(stretch.normalisation(start, norm(&w[1], &w[2], None, true), None).err().unwrap());
    assert!(channels.contains("weight [6]"), "{channels}");
    assert!(!Stretch::suits(&x.to_dtype(DType::F64).unwrap()));
    assert!(!Stretch::suits(&random(1, &[2, 0, 3, 3], &Device::Cpu)));
    let y = stretch.convolution(start, &w[0], (1, 1, 1), None).unwrap();
    stretch.convolution(y, &w[3], (1, 1, 1), None).unwrap();
    assert!(error(stretch.finish(y).unwrap_err()).contains("made last"));
}

#[test]
fn has_one_backward_pass() {
    let y = recorded(&random(1, &[2, 5, 6, 6], &Device::Cpu), &weights(5, 5), 1).sum_all().unwrap();
    assert!(y.backward().is_ok());
    assert!(y.backward().unwrap_err().to_string().contains("one backward pass"));
}

#[test]
fn needs_no_parameters() {
    let x = Var::from_tensor(&random(1, &[2, 5, 6, 6], &Device::Cpu)).unwrap();
    let run = |y: Tensor| {
        let r = random(2, y.dims(), &Device::Cpu);
        let gradients = (&y * r).unwrap().sum_all().unwrap().backward().unwrap();
        (y, gradients.get(&x).unwrap().clone())
    };
    let (mut stretch, start) = Stretch::new(&x).unwrap();
    let pooled = stretch.max_pool(start, 3, 2, 1).unwrap();
    let (found, expected) = (run(stretch.finish(pooled).unwrap()), run(max_pool2d(&x, 3, 2, 1).unwrap()));
    assert_close("pool", &found.0, &expected.0, 0.0);
    assert_close("gradient", &found.1, &expected.1, 0.0);
}

/// The value of a stretch before anything is done to it.
#[test]
fn nothing_done_is_the_input() {
    let x = random(1, &[2, 5, 6, 6], &Device::Cpu);
    let (stretch, start): (Stretch, Value) = Stretch::new(&x).unwrap();
    assert_close("input", &stretch.finish(start).unwrap(), &x, 0.0);
}
