//! The denoiser against diffusers' (`tests/golden/make_diffusion.py`): output and every gradient.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use limbeck_models::checkpoint::{self, Checkpoint};
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::ops::cpu::without_kernels;
use limbeck_models::{Error, Params};

/// Relative to the largest element; both sides are f32, their sums are ordered differently.
const TOLERANCE: f32 = 2e-5;

fn golden() -> Checkpoint {
    checkpoint::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/diffusion.safetensors")).unwrap()
}

fn part(golden: &Checkpoint, prefix: &str) -> BTreeMap<String, Tensor> {
    let strip = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()));
    golden.tensors.iter().filter_map(strip).collect()
}

#[track_caller]
fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (flat(found), flat(expected));
    let scale = expected.iter().fold(1e-3_f32, |max, v| max.max(v.abs()));
    let worst = found.iter().zip(&expected).fold(0.0_f32, |max, (f, e)| max.max((f - e).abs()));
    assert!(worst <= TOLERANCE * scale, "{what}: off by {worst}, largest element {scale}");
}

#[test]
fn output_and_gradients_agree_with_diffusers() {
    for device in limbeck_models::testing::devices() {
        agrees_with_diffusers(&device);
    }
    without_kernels(|| agrees_with_diffusers(&Device::Cpu));
}

fn agrees_with_diffusers(device: &Device) {
    let golden = golden();
    let config: DitConfig = serde_json::from_str(&golden.metadata["config"]).unwrap();
    let params = Params::resume(part(&golden, "dit.param."), device);
    let net = Dit::new(&config, &params).unwrap();
    let get = |name: &str| golden.tensors[&format!("dit.{name}")].to_device(device).unwrap();
    let y = get("y").to_dtype(DType::U32).unwrap();
    let out = net.forward(&get("x"), &get("t"), &y).unwrap();
    assert_close("output", &out, &get("out"));
    let gradients = (out * get("r")).unwrap().sum_all().unwrap().backward().unwrap();
    let expected = part(&golden, "dit.grad.");
    let parameters = params.parameters();
    assert_eq!(parameters.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, var) in parameters {
        let found = gradients.get(var.as_tensor()).unwrap().to_device(&Device::Cpu).unwrap();
        assert_close(&name, &found, &expected[&name]);
    }
}

#[test]
fn half_precision_weights_give_nearly_the_same() {
    let golden = golden();
    let config: DitConfig = serde_json::from_str(&golden.metadata["config"]).unwrap();
    let half = |(name, tensor): (String, Tensor)| (name, tensor.to_dtype(DType::F16).unwrap());
    let halved = part(&golden, "dit.param.").into_iter().map(half).collect();
    let net = Dit::new(&config, &Params::frozen(halved, DType::F32, &Device::Cpu)).unwrap();
    let y = golden.tensors["dit.y"].to_dtype(DType::U32).unwrap();
    let out = net.forward(&golden.tensors["dit.x"], &golden.tensors["dit.t"], &y).unwrap();
    let error =
        (out - &golden.tensors["dit.out"]).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(error < 5e-3, "off by {error}");
}

#[test]
fn a_checkpoint_of_another_shape_is_refused_by_name() {
    let golden = golden();
    let mut config: DitConfig = serde_json::from_str(&golden.metadata["config"]).unwrap();
    config.width = 64;
    let params = Params::frozen(part(&golden, "dit.param."), DType::F32, &Device::Cpu);
    match Dit::new(&config, &params).err() {
        Some(Error::WrongShape { name, .. }) => assert_eq!(name, "x_embedder.proj.weight"),
        other => panic!("{other:?}"),
    }
    config.width = 30;
    assert!(Dit::new(&config, &params).err().unwrap().to_string().contains("width 30"));
}

#[test]
fn the_official_models_have_their_sizes() {
    let count = |name: &str| {
        let params = Params::from_seed(0, &Device::Cpu);
        Dit::new(&DitConfig::named(name, 32).unwrap(), &params).unwrap();
        params.parameters().values().map(|var| var.elem_count()).sum::<usize>()
    };
    // Table 1 of the paper gives 33 M for DiT-S; it counts the fixed position embedding too.
    assert_eq!((count("DiT-S/2") + 256 * 384 + 500_000) / 1_000_000, 33);
    for wrong in ["DiT-S", "DiT-Q/2", "S/2", "DiT-S/0", "DiT-S/5"] {
        assert!(DitConfig::named(wrong, 32).is_err(), "{wrong}");
    }
}
