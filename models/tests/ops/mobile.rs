//! The operations of the mobile networks and the transformers: the f32 kernels against the same mathematics in f64, which
//! goes through candle.

use candle_core::{DType, Device, Tensor};
use limbeck_models::ops::{
    adaptive_avg_pool2d, gelu_erf, layer_norm, relu, relu6, scale_channels, shuffle_channels, sigmoid, silu,
};

use crate::transformer::check;
use crate::values;

fn agree_with_double_precision(device: &Device) {
    let wide = |t: &Tensor| (t * 3.0).unwrap();
    for shape in [&[2, 3, 5, 7][..], &[1, 1, 1, 1], &[3, 17, 9, 20]] {
        let channels = shape[1];
        check("relu", device, &[shape], |t| relu(&wide(&t[0])).unwrap());
        check("relu6", device, &[shape], |t| relu6(&wide(&t[0])).unwrap());
        check("silu", device, &[shape], |t| silu(&wide(&t[0])).unwrap());
        check("gelu_erf", device, &[shape], |t| gelu_erf(&wide(&t[0])).unwrap());
        check("sigmoid", device, &[shape], |t| sigmoid(&wide(&t[0])).unwrap());
        check("scale_channels", device, &[shape, &shape[..2]], |t| scale_channels(&t[0], &t[1]).unwrap());
        check("adaptive_avg_pool2d", device, &[shape], |t| adaptive_avg_pool2d(&t[0], 7).unwrap());
        let last_channels = |t: &Tensor| t.permute((0, 2, 3, 1)).unwrap();
        check("layer_norm", device, &[shape, &[channels], &[channels]], |t| {
            layer_norm(&last_channels(&t[0]), &t[1], &t[2], 0.1).unwrap()
        });
    }
}

/// `torch.nn.AdaptiveAvgPool2d` by its definition: the mean of rows ⌊ih/s⌋ to ⌈(i+1)h/s⌉, columns likewise.
fn adaptive_means_follow_the_definition(device: &Device) {
    for (h, w, size) in [(2, 2, 7), (14, 9, 7), (10, 10, 3), (7, 5, 7)] {
        let pixels: Vec<f32> = (0..h * w).map(|i| (i * i % 97) as f32).collect();
        let x = Tensor::from_slice(&pixels, (1, 1, h, w), device).unwrap();
        let found = values(&adaptive_avg_pool2d(&x, size).unwrap());
        let span = |i: usize, from: usize| i * from / size..((i + 1) * from).div_ceil(size);
        for (i, found) in found.into_iter().enumerate() {
            let window = span(i / size, h).flat_map(|y| span(i % size, w).map(move |x| y * w + x));
            let window: Vec<f32> = window.map(|at| pixels[at]).collect();
            let mean = window.iter().sum::<f32>() / window.len() as f32;
            assert!((found - mean).abs() <= 1e-4 * mean.max(1.0), "{h}×{w} to {size}, {i}: {found}, expected {mean}");
        }
    }
}

fn channels_are_shuffled_as_by_shufflenet(device: &Device) {
    let x = Tensor::arange(0f32, 12.0, device).unwrap().reshape((1, 6, 1, 2)).unwrap();
    let found = values(&shuffle_channels(&x, 2).unwrap());
    assert_eq!(found, [0.0, 1.0, 6.0, 7.0, 2.0, 3.0, 8.0, 9.0, 4.0, 5.0, 10.0, 11.0]);
    assert!(shuffle_channels(&x, 4).is_err());
}

#[test]
fn degenerate_inputs_give_no_nan() {
    let same = Tensor::ones((3, 8), DType::F32, &Device::Cpu).unwrap();
    let bias = Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap();
    let rows = layer_norm(&same, &bias, &bias, 1e-6).unwrap().to_vec2::<f32>().unwrap();
    assert!(rows.iter().all(|row| *row == bias.to_vec1::<f32>().unwrap()), "{rows:?}");
    let extreme = Tensor::new(&[-1e30_f32, -100.0, 0.0, 100.0, 1e30], &Device::Cpu).unwrap();
    for f in [relu, relu6, silu, gelu_erf, sigmoid] {
        assert!(values(&f(&extreme).unwrap()).iter().all(|v| v.is_finite()));
    }
}

mod each {
    crate::on_each_device!(
        agree_with_double_precision,
        adaptive_means_follow_the_definition,
        channels_are_shuffled_as_by_shufflenet
    );
}
