//! Resizing and cropping against torchvision (`tests/golden/make_preprocess.py`).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use limbeck_models::checkpoint;
use limbeck_models::preprocess::{Interpolation, centre_crop, resize, shorter_side};

const TOLERANCE: f32 = 2.0 / 255.0;

fn golden() -> BTreeMap<String, Tensor> {
    checkpoint::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/preprocess.safetensors"))
        .unwrap()
        .tensors
}

/// Height, width and values, 0 to 1 for bytes.
fn values(tensor: &Tensor) -> ((usize, usize), Vec<f32>) {
    let (_, height, width) = tensor.dims3().unwrap();
    let scale = if tensor.dtype() == DType::U8 { 255.0 } else { 1.0 };
    let flat = (tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap() / scale).unwrap();
    ((height, width), flat.to_vec1().unwrap())
}

#[test]
fn resizing_agrees_with_pil_and_with_tensors() {
    let golden = golden();
    let (from, image) = values(&golden["image"]);
    let mut compared = 0;
    for (name, interpolation) in [("bilinear", Interpolation::Bilinear), ("bicubic", Interpolation::Bicubic)] {
        for side in [32, 60, 100] {
            for path in ["pil", "bytes", "fractions"] {
                let key = format!("{name}.{side}.{path}");
                // On fractions torchvision lets the cubic overshoot, so there is nothing to agree with.
                let Some(expected) = golden.get(&key) else { continue };
                let (to, expected) = values(expected);
                assert_eq!(shorter_side(from, side), to, "{key}");
                let found = resize(&image, from, to, interpolation);
                assert_eq!(found.len(), expected.len(), "{key}");
                let errors = found.iter().zip(&expected).map(|(f, e)| (f - e).abs());
                let worst = errors.fold(0f32, f32::max);
                assert!(worst <= TOLERANCE, "{key}: {:.2}/255", worst * 255.0);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 15);
}

#[test]
fn crops_are_torchvisions() {
    let golden = golden();
    let (from, image) = values(&golden["image"]);
    for side in [31, 32, 80, 83] {
        assert_eq!(centre_crop(&image, from, side), values(&golden[&format!("crop.{side}")]).1, "{side}");
    }
    assert_eq!(centre_crop(&image, from, 84), [0.0; 0]);
}
