//! The transformer's operations: the f32 kernels against the same mathematics in f64, which goes through candle.

use candle_core::{DType, Device, Tensor, Var};
use limbeck_models::ops::{attention, gated_residual, gelu, layer_norm_modulate, linear};

use crate::{assert_close, random};

/// Compares output and gradients of `f` in f32 and f64 at inputs of these shapes.
#[track_caller]
pub fn check(what: &str, device: &Device, shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Tensor) {
    let inputs: Vec<Tensor> = shapes.iter().enumerate().map(|(i, shape)| random(i as u64, shape, device)).collect();
    let run = |dtype: DType| {
        let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap()).collect();
        let y = f(&vars.iter().map(|v| v.as_tensor().clone()).collect::<Vec<_>>());
        let r = random(99, y.dims(), device).to_dtype(dtype).unwrap();
        let gradients = (&y * r).unwrap().sum_all().unwrap().backward().unwrap();
        let gradients = vars.iter().map(|v| gradients.get(v.as_tensor()).unwrap().clone());
        let single = |t: Tensor| t.to_dtype(DType::F32).unwrap().contiguous().unwrap();
        (single(y.detach()), gradients.map(single).collect::<Vec<_>>())
    };
    let ((y, gradients), (y64, gradients64)) = (run(DType::F32), run(DType::F64));
    assert_close(what, &y, &y64, 1e-5);
    for (i, (found, expected)) in gradients.iter().zip(&gradients64).enumerate() {
        assert_close(&format!("{what}, gradient of input {i}"), found, expected, 2e-5);
    }
}

/// Sizes that are not multiples of a vector: images, tokens, width, heads.
const SIZES: [(usize, usize, usize, usize); 4] = [(1, 1, 4, 1), (3, 49, 36, 3), (2, 17, 128, 4), (5, 64, 24, 2)];

fn agree_with_double_precision(device: &Device) {
    for (n, tokens, width, heads) in SIZES {
        let x: &[usize] = &[n, tokens, width];
        let row: &[usize] = &[n, width];
        check("attention", device, &[&[n, tokens, 3 * width]], |t| attention(&t[0], heads).unwrap());
        check("modulate", device, &[x, row, row], |t| layer_norm_modulate(&t[0], &t[1], &t[2]).unwrap());
        check("gated", device, &[x, row, x], |t| gated_residual(&t[0], &t[1], &t[2]).unwrap());
        check("gelu", device, &[x], |t| gelu(&(&t[0] * 3.0).unwrap()).unwrap());
        check("linear", device, &[x, &[7, width], &[7]], |t| linear(&t[0], &t[1], &t[2]).unwrap());
    }
}

#[test]
fn extreme_inputs_stay_finite() {
    let x = Tensor::new(&[[[-1e4_f32, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4, 1e-30]]], &Device::Cpu).unwrap();
    let finite = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|v| v.is_finite());
    assert!(finite(&gelu(&x).unwrap()));
    let qkv = Tensor::cat(&[&x, &x, &x], 2).unwrap();
    assert!(finite(&attention(&Tensor::cat(&[&qkv, &qkv], 1).unwrap(), 2).unwrap()));
    let (same, row) = (Tensor::ones((1, 3, 8), DType::F32, &Device::Cpu).unwrap(), x.squeeze(1).unwrap());
    assert!(finite(&layer_norm_modulate(&same, &row, &row).unwrap()));
}

mod each {
    crate::on_each_device!(agree_with_double_precision);
}
