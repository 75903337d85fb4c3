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
