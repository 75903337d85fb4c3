//! Weights and images that follow from names, as in `tests/golden/make_classifiers.py`: both sides make them anew.

use candle_core::{Device, Tensor};

/// Uniform in [-1, 1), 24 bits: FNV-1a of the name seeds SplitMix64. The script's `values`.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// The script's `weights`.
pub fn weights(name: &str, shape: &[usize], gain: f64) -> Tensor {
    let (offset, scale) = match shape {
        _ if name.ends_with("running_var") => (1.0, 0.5),
        [_, rest @ .., last] => {
            let fan_in = rest.iter().product::<usize>() * last;
            (0.0, (gain * (6.0 / fan_in as f64).sqrt()) as f32)
        }
        _ if name.ends_with("weight") => (0.75, 0.25),
        _ => (0.0, 0.2),
    };
    let values = uniform(name, shape.iter().product()).map(|u| offset + scale * u).collect::<Vec<f32>>();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The script's `images`, `[count, 3, size, size]`.
pub fn images(count: usize, size: usize) -> Tensor {
    let side = size / 8;
    let patches: Vec<f32> = uniform("patches", 3 * count * side * side).collect();
    let pixels = uniform("noise", 3 * count * size * size).enumerate().map(|(i, noise)| {
        let (plane, y, x) = (i / (size * size), i / size % size, i % size);
        2.0 * patches[(plane * side + y / 8) * side + x / 8] + noise
    });
    Tensor::from_vec(pixels.collect::<Vec<f32>>(), (count, 3, size, size), &Device::Cpu).unwrap()
}
