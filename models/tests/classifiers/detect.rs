//! Networks found from names and shapes of tensors.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use limbeck_models::Params;
use limbeck_models::classifier::{Detected, build, detect, detect_sizes, names, usual_size};

fn state(name: &str, channels: usize, size: usize) -> BTreeMap<String, Tensor> {
    let params = Params::sketch();
    build(name, 7, channels, size, &params).unwrap();
    let zeros = |shape: Vec<usize>| Tensor::zeros((), DType::F32, &Device::Cpu).unwrap().broadcast_as(shape).unwrap();
    params.asked().into_iter().map(|(name, shape)| (name, zeros(shape))).collect()
}

#[test]
fn every_convolutional_network_is_told_from_all_others() {
    for name in names().filter(|name| *name != "mlp") {
        let size = usual_size(name).unwrap();
        let mut state = state(name, 3, size);
        state.insert("bn1.num_batches_tracked".into(), Tensor::zeros((), DType::I64, &Device::Cpu).unwrap());
        assert_eq!(detect(&state).unwrap(), Detected { network: name, classes: 7, channels: 3, size });
    }
}

#[test]
fn sizes_show_where_the_tensors_depend_on_them() {
    let sizes = [("resnet18", 32), ("resnet50", 224), ("vit_b_16", 384)];
    for (name, size) in sizes {
        let found = detect(&state(name, 1, size)).unwrap();
        assert_eq!((found.network, found.size, found.channels), (name, size, 1));
    }
}

/// So that the message is about the tensor, not about what its neighbours tell.
#[test]
fn a_named_network_has_its_sizes_from_what_is_there() {
    for (name, size, missing) in [
        ("resnet18", 224, "layer4.1.bn2.bias"),
        ("resnet18", 32, "layer4.1.bn2.bias"),
        ("vit_b_16", 64, "encoder.ln.bias"),
    ] {
        let mut state = state(name, 1, size);
        state.insert("aux.weight".into(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
        let whole = detect_sizes(name, &state).unwrap();
        assert_eq!(whole, Detected { network: name, classes: 7, channels: 1, size });
        state.remove(missing);
        let Detected { network, classes, channels, size } = detect_sizes(name, &state).unwrap();
        let params = Params::frozen(state, DType::F32, &Device::Cpu);
        let message = build(network, classes, channels, size, &params).err().unwrap().to_string();
        assert_eq!(
            message,
            format!("the checkpoint has no tensor `{missing}`: it is incomplete, or of another architecture")
        );
    }
    assert_eq!(detect_sizes("mlp", &state("mlp", 1, 28)), None);
    assert_eq!(detect_sizes("resnet19", &state("resnet18", 3, 32)), None);
}

#[test]
fn what_is_not_known_is_said() {
    let message = |state: &BTreeMap<String, Tensor>| detect(state).unwrap_err().to_string();
    let mut short = state("resnet20", 3, 32);
    short.remove("layer2.1.conv1.weight");
    assert!(message(&short).contains("no known network has exactly its tensors"), "{}", message(&short));
    assert!(message(&state("mlp", 1, 28)).contains("no first convolution"));
    assert!(message(&BTreeMap::new()).contains("as an ONNX file"));
}
