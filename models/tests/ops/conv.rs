//! Convolution: value and gradients over the classes of shapes.

use candle_core::{Device, Tensor, Var};
use limbeck_models::ops::{Activation, Norm, batch_norm, conv2d, conv2d_norm};

use crate::{assert_close, check_gradient, random, values};

/// images [n, c, h, w], outputs, kernel, stride, padding, groups
pub type Case = ([usize; 4], usize, usize, usize, usize, usize);

pub const CASES: &[Case] = &[
    ([2, 3, 8, 8], 4, 1, 1, 0, 1),
    ([1, 4, 7, 5], 3, 1, 2, 0, 1),
    ([2, 3, 8, 8], 5, 3, 1, 1, 1),
    ([3, 2, 9, 7], 4, 3, 2, 1, 1),
    ([2, 1, 28, 28], 6, 5, 1, 2, 1),
    ([2, 2, 11, 13], 3, 5, 2, 0, 1),
    ([1, 3, 17, 17], 4, 7, 2, 3, 1),
    ([2, 3, 9, 9], 2, 7, 1, 3, 1),
    ([2, 4, 6, 6], 6, 3, 1, 1, 2),
    ([2, 4, 7, 7], 8, 3, 2, 1, 4),
    ([1, 5, 5, 5], 5, 3, 1, 1, 5),
    // kernel as large as the images, more padding than the kernel reaches, one pixel, many images of few pixels
    ([3, 2, 5, 5], 7, 5, 1, 0, 1),
    ([1, 2, 3, 3], 2, 1, 1, 1, 1),
    ([2, 3, 4, 4], 2, 3, 1, 3, 1),
    ([5, 8, 1, 1], 3, 1, 1, 0, 1),
    ([40, 6, 4, 4], 9, 3, 1, 1, 1),
    ([40, 6, 4, 4], 9, 3, 2, 1, 3),
    // Winograd: whole tiles, cut tiles, blocks of channels that are not full, wide and no padding, many small images
    ([2, 16, 8, 8], 16, 3, 1, 1, 1),
    ([1, 19, 9, 7], 37, 3, 1, 1, 1),
    ([3, 35, 5, 12], 18, 3, 1, 0, 1),
    ([2, 16, 6, 6], 83, 3, 1, 2, 1),
    ([70, 20, 4, 4], 24, 3, 1, 1, 1),
    ([2, 64, 33, 31], 72, 3, 1, 1, 1),
    // Winograd with many channels and few tiles
    ([3, 256, 6, 5], 128, 3, 1, 1, 1),
    // the same at stride 2
    ([2, 16, 8, 8], 16, 3, 2, 1, 1),
    ([1, 19, 9, 13], 37, 3, 2, 1, 1),
    ([3, 35, 14, 7], 18, 3, 2, 1, 1),
    ([9, 20, 16, 31], 24, 3, 2, 1, 1),
    ([3, 256, 6, 8], 128, 3, 2, 1, 1),
    // panels: many columns, columns of several images, a stride, more output channels than a block, groups
    ([2, 7, 30, 31], 21, 1, 1, 0, 1),
    ([9, 12, 7, 7], 19, 1, 1, 0, 1),
    ([5, 12, 15, 14], 9, 1, 2, 0, 1),
    ([2, 3, 41, 40], 17, 7, 2, 3, 1),
    ([4, 6, 13, 9], 10, 3, 3, 1, 2),
    // depthwise: kernels, strides, padding that is none, odd or wide, planes of a few vectors and of less than one
    ([2, 8, 14, 14], 8, 3, 1, 1, 8),
    ([3, 6, 15, 13], 6, 3, 2, 1, 6),
    ([2, 5, 14, 14], 5, 5, 1, 2, 5),
    ([2, 5, 15, 11], 5, 5, 2, 2, 5),
    ([2, 3, 14, 9], 3, 7, 1, 3, 3),
    ([1, 4, 20, 17], 4, 7, 2, 3, 4),
    ([2, 4, 9, 9], 4, 2, 2, 0, 4),
    ([2, 4, 8, 7], 4, 3, 3, 2, 4),
    ([2, 4, 7, 7], 4, 1, 2, 0, 4),
    ([2, 3, 4, 5], 3, 3, 1, 4, 3),
    ([1, 3, 33, 34], 3, 5, 1, 0, 3),
    // more rows than one tile of patches holds
    ([1, 16, 40, 40], 8, 3, 1, 1, 1),
    ([1, 16, 40, 41], 8, 3, 2, 1, 2),
];

struct Reference {
    y: Tensor,
    dx: Tensor,
    dw: Tensor,
    db: Tensor,
}

/// Seven loops in f64: the definition.
fn reference(x: &Tensor, w: &Tensor, b: &Tensor, dy: &Tensor, &(_, _, k, stride, padding, groups): &Case) -> Reference {
    let (n, c, h, width) = x.dims4().unwrap();
    let (_, o, oh, ow) = dy.dims4().unwrap();
    let (xs, ws, bs, dys) = (values(x), values(w), values(b), values(dy));
    let (mut y, mut dx) = (vec![0f64; dys.len()], vec![0f64; xs.len()]);
    let (mut dw, mut db) = (vec![0f64; ws.len()], vec![0f64; bs.len()]);
    let per_group = c / groups;
    for (i, image, channel) in (0..n * o).map(|i| (i, i / o, i % o)) {
        for (oy, ox) in (0..oh * ow).map(|p| (p / ow, p % ow)) {
            let at = i * oh * ow + oy * ow + ox;
            y[at] += f64::from(bs[channel]);
            db[channel] += f64::from(dys[at]);
            for (ic, ky, kx) in (0..per_group * k * k).map(|t| (t / (k * k), t / k % k, t % k)) {
                let (iy, ix) = ((oy * stride + ky).wrapping_sub(padding), (ox * stride + kx).wrapping_sub(padding));
                if iy >= h || ix >= width {
                    continue;
                }
                let source = channel / (o / groups) * per_group + ic;
                let from = ((image * c + source) * h + iy) * width + ix;
                let tap = ((channel * per_group + ic) * k + ky) * k + kx;
                y[at] += f64::from(xs[from]) * f64::from(ws[tap]);
                dx[from] += f64::from(dys[at]) * f64::from(ws[tap]);
                dw[tap] += f64::from(dys[at]) * f64::from(xs[from]);
            }
        }
    }
    let tensor = |values: Vec<f64>, like: &Tensor| {
        Tensor::from_vec(values.into_iter().map(|v| v as f32).collect::<Vec<_>>(), like.shape(), &Device::Cpu).unwrap()
    };
    Reference { y: tensor(y, dy), dx: tensor(dx, x), dw: tensor(dw, w), db: tensor(db, b) }
}

fn inputs(case: &Case, device: &Device) -> [Tensor; 3] {
    let &(images, outputs, kernel, _, _, groups) = case;
    let w = [outputs, images[1] / groups, kernel, kernel];
    [random(1, &images, device), random(2, &w, device), random(3, &[outputs], device)]
}

fn matches_the_definition(device: &Device) {
    for case in CASES {
        let &(.., stride, padding, groups) = case;
        let [x, w, b] = inputs(case, device).map(|t| Var::from_tensor(&t).unwrap());
        let y = conv2d(&x, &w, Some(&b), stride, padding, groups).unwrap();
        let dy = random(4, y.dims(), device);
        let grads = (&y * &dy).unwrap().sum_all().unwrap().backward().unwrap();
        let expected = reference(&x, &w, &b, &dy, case);
        let what = |part: &str| format!("{part} of {case:?} on {device:?}");
        assert_close(&what("y"), &y, &expected.y, 1e-5);
        assert_close(&what("dx"), grads.get(&x).unwrap(), &expected.dx, 1e-5);
        assert_close(&what("dw"), grads.get(&w).unwrap(), &expected.dw, 2e-5);
        assert_close(&what("db"), grads.get(&b).unwrap(), &expected.db, 1e-5);
    }
}

fn gradient_agrees_with_differences(device: &Device) {
    for case in CASES {
        let &(.., stride, padding, groups) = case;
        let f = |t: &[Tensor]| conv2d(&t[0], &t[1], Some(&t[2]), stride, padding, groups).unwrap();
        check_gradient(&inputs(case, device), f, 1e-2, 2e-3);
    }
}

/// With and without an addition and a ReLU, also where a gradient is asked for.
fn the_normalisation_behind_it_fuses(device: &Device) {
    for case in CASES {
        let &(images, outputs, kernel, stride, padding, groups) = case;
        let [x, w, bias] = inputs(case, device);
        let [weight, mean] = [5, 6].map(|seed| random(seed, &[outputs], device));
        let var = random(7, &[outputs], device).sqr().unwrap();
        let y = conv2d(&x, &w, None, stride, padding, groups).unwrap();
        let residual = random(8, y.dims(), device);
        for (residual, relu) in [(None, false), (None, true), (Some(&residual), false), (Some(&residual), true)] {
            let norm = Norm { weight: &weight, bias: &bias, eps: 1e-5, residual, relu };
            let expected = batch_norm(&y, norm, Some((&mean, &var))).unwrap().0;
            let what = format!("images {images:?}, kernel {kernel}, relu {relu}");
            let fused = conv2d_norm(&x, &w, norm, (&mean, &var), stride, padding, Activation::None).unwrap();
            assert_close(&what, &fused, &expected, 1e-5);
            let tracked = Var::from_tensor(&x).unwrap();
            let composed = conv2d_norm(&tracked, &w, norm, (&mean, &var), stride, padding, Activation::None).unwrap();
            assert_close(&what, &composed, &expected, 1e-6);
            assert!(composed.sum_all().unwrap().backward().unwrap().get(&tracked).is_some());
        }
    }
}

fn the_activation_behind_it_fuses(device: &Device) {
    for case in CASES {
        let &(_, outputs, kernel, stride, padding, _) = case;
        let [x, w, bias] = inputs(case, device);
        let [weight, mean] = [5, 6].map(|seed| random(seed, &[outputs], device));
        let norm = Norm { weight: &(weight * 4.0).unwrap(), bias: &bias, eps: 1e-5, residual: None, relu: false };
        let running = (&mean, &random(7, &[outputs], device).sqr().unwrap());
        let run = |activation| conv2d_norm(&x, &w, norm, running, stride, padding, activation).unwrap();
        let plain = run(Activation::None);
        for activation in [Activation::Relu, Activation::Relu6, Activation::Silu] {
            let what = format!("{activation:?} after {case:?}, kernel {kernel}");
            assert_close(&what, &run(activation), &activation.forward(&plain).unwrap(), 1e-6);
        }
    }
}

fn takes_strided_inputs(device: &Device) {
    let x = random(1, &[4, 9, 7, 3], device).permute((0, 3, 1, 2)).unwrap();
    let w = random(2, &[3, 3, 5, 3], device).transpose(0, 2).unwrap();
    let strided = conv2d(&x, &w, None, 1, 1, 1).unwrap();
    let plain = conv2d(&x.contiguous().unwrap(), &w.contiguous().unwrap(), None, 1, 1, 1).unwrap();
    assert_close("strided", &strided, &plain, 1e-6);
    let part = x.narrow(0, 1, 2).unwrap().narrow(2, 2, 6).unwrap();
    let expected = conv2d(&part.contiguous().unwrap(), &w.contiguous().unwrap(), None, 2, 1, 1).unwrap();
    assert_close("narrowed", &conv2d(&part, &w, None, 2, 1, 1).unwrap(), &expected, 1e-6);
}

fn refuses_what_does_not_fit(device: &Device) {
    let x = random(1, &[2, 3, 8, 8], device);
    let w = random(2, &[4, 3, 3, 3], device);
    let refused = |w: &Tensor, bias: Option<&Tensor>, stride, groups, expect: &str| {
        let error = conv2d(&x, w, bias, stride, 0, groups).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    refused(&w, None, 0, 1, "stride 0");
    refused(&w, None, 1, 2, "do not fit in 2 groups");
    refused(&random(2, &[4, 3, 9, 9], device), None, 1, 1, "larger than the images");
    refused(&w, Some(&random(3, &[5], device)), 1, 1, "bias of shape [5]");
}

/// The order of every sum depends on the sizes alone.
#[test]
fn same_bits_with_any_number_of_threads() {
    let bits = |threads: usize, (inputs, outputs, kernel, stride, groups): (usize, usize, usize, usize, usize)| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = Var::from_tensor(&random(1, &[24, inputs, 12, 12], &Device::Cpu)).unwrap();
            let w = Var::from_tensor(&random(2, &[outputs, inputs / groups, kernel, kernel], &Device::Cpu)).unwrap();
            let y = conv2d(&x, &w, None, stride, kernel / 2, groups).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            [values(&y), values(grads.get(&x).unwrap()), values(grads.get(&w).unwrap())]
                .map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        })
    };
    let three = |inputs, outputs| (inputs, outputs, 3, 1, 1);
    for case in [three(8, 16), three(16, 32), three(40, 24), (24, 40, 1, 1, 1), (9, 20, 5, 2, 1), (16, 16, 3, 2, 16)] {
        let one = bits(1, case);
        assert!([2, 3, 7].into_iter().all(|threads| bits(threads, case) == one), "{case:?}");
    }
}

/// The batch stays as it was when nothing of it needs a gradient.
#[test]
fn frozen_inputs_get_no_gradient() {
    let x = random(1, &[1, 2, 5, 5], &Device::Cpu);
    let w = Var::from_tensor(&random(2, &[3, 2, 3, 3], &Device::Cpu)).unwrap();
    let grads = conv2d(&x, &w, None, 1, 1, 1).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none() && grads.get(&w).is_some());
}

mod each {
    crate::on_each_device!(
        matches_the_definition,
        gradient_agrees_with_differences,
        the_normalisation_behind_it_fuses,
        the_activation_behind_it_fuses,
        takes_strided_inputs,
        refuses_what_does_not_fit
    );
}
