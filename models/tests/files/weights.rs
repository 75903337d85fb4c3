//! Names in files of weights, whatever their format.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use limbeck_models::{checkpoint, weights};

/// What a file of tensors with these names is read as.
fn read(names: &[&str]) -> Vec<String> {
    let zero = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let tensors = names.iter().map(|name| (name.to_string(), zero.clone())).collect();
    let bytes = checkpoint::to_bytes(&tensors, &BTreeMap::new()).unwrap();
    weights::parse(&bytes, "some.safetensors").unwrap().tensors.into_keys().collect()
}

#[test]
fn a_prefix_goes_only_if_all_have_it() {
    assert_eq!(read(&["module.fc.bias", "module.fc.weight"]), ["fc.bias", "fc.weight"]);
    assert_eq!(read(&["module.model.a", "module.model.b"]), ["a", "b"]);
    assert_eq!(read(&["module.a", "b"]), ["b", "module.a"]);
    assert_eq!(read(&[]), [""; 0]);
}

#[test]
fn old_names_become_the_present_ones() {
    let old = ["encoder.layers.encoder_layer_0.mlp.linear_1.bias", "encoder.layers.encoder_layer_0.mlp.linear_2.bias"];
    let new = ["encoder.layers.encoder_layer_0.mlp.0.bias", "encoder.layers.encoder_layer_0.mlp.3.bias"];
    assert_eq!(read(&old), new);
}

#[test]
fn a_shape_beyond_counting_is_refused() {
    for shape in ["[0,1099511627776,1099511627776]", "[1099511627776,1099511627776,0]"] {
        let header = format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,0]}}}}");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        let message = checkpoint::parse(&bytes, "a.safetensors").err().unwrap().to_string();
        assert!(message.starts_with("`a.safetensors` is not a readable safetensors file"), "{message}");
    }
}

#[test]
fn what_is_neither_format_is_refused() {
    for bytes in [&b""[..], b"{}", b"\x80\x02hello", b"PK\x05\x06"] {
        let message = weights::parse(bytes, "a.bin").err().unwrap().to_string();
        assert!(message.starts_with("`a.bin` is not a readable safetensors file"), "{message}");
    }
}

/// Whoever loads weights goes through one of these: nobody computes with what a ReLU would hide.
#[test]
fn what_is_not_finite_is_refused_with_its_tensor() {
    let device = Device::Cpu;
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
        for (bad, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            let tensor = |values: &[f32]| Tensor::new(values, &device).unwrap().to_dtype(dtype).unwrap();
            let tensors = BTreeMap::from([
                ("conv1.bias".to_owned(), tensor(&[0.0, 1.0])),
                ("conv1.weight".to_owned(), tensor(&[0.0, 1.0, bad])),
                // All bits set: a NaN if it were not a whole number.
                ("bn1.num_batches_tracked".to_owned(), Tensor::new(&[-1_i64], &device).unwrap()),
            ]);
            let bytes = checkpoint::to_bytes(&tensors, &BTreeMap::new()).unwrap();
            let message = checkpoint::parse(&bytes, "w.safetensors").err().unwrap().to_string();
            let expected = format!("`w.safetensors` holds {shown} in tensor `conv1.weight`: it is damaged");
            assert!(message.starts_with(&expected), "{message}");
            assert!(message.ends_with("name another file"), "{message}");
            let finite = tensors.into_iter().filter(|(name, _)| name != "conv1.weight").collect();
            let bytes = checkpoint::to_bytes(&finite, &BTreeMap::new()).unwrap();
            assert_eq!(weights::parse(&bytes, "w.safetensors").unwrap().tensors.len(), 2);
        }
    }
}
