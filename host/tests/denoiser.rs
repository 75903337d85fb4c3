//! The denoiser that comes with Limbeck, opened and linked in: the same assertions on both, and the network itself beside.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use limbeck::backend::{Denoised, Denoiser, Services, link_denoiser, open_classifier, open_denoiser};
use limbeck::plan::PluginPlan;
use limbeck_candle::CandleDit;
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::{Params, checkpoint};
use serde_json::json;

fn weights() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/mnist/dit.safetensors")).into()
}

/// The dynamic library that cargo built of the same crate that is linked into this test.
fn plan() -> PluginPlan {
    let name = format!("{}candle_dit{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let plugin = std::env::current_exe().unwrap().with_file_name(name);
    let config = serde_json::Value::Null;
    PluginPlan { plugin, sha256: None, allow_unpinned: true, weights: Some(weights()), config }
}

fn linked() -> Box<dyn Denoiser> {
    link_denoiser::<CandleDit>(&json!({ "weights": weights() }), &Device::Cpu, Services::default()).unwrap()
}

/// Three noisy digits at three steps, of classes 3 and 7 and of none.
fn question() -> (Tensor, Tensor, Tensor) {
    let noise = (0..3 * 784).map(|at| ((at * 7919 % 2003) as f32 / 1001.5 - 1.0) * 1.7).collect::<Vec<_>>();
    let x = Tensor::from_vec(noise, (3, 1, 28, 28), &Device::Cpu).unwrap();
    let t = Tensor::new(&[0f32, 250.0, 999.0], &Device::Cpu).unwrap();
    (x, t, Tensor::new(&[3i64, 7, -1], &Device::Cpu).unwrap())
}

/// What the network itself says, without any plugin.
fn directly() -> Denoised {
    let file = checkpoint::load(&weights()).unwrap();
    let config: serde_json::Value = serde_json::from_str(&file.entry("config").unwrap()).unwrap();
    let config: DitConfig = serde_json::from_value(config["model"].clone()).unwrap();
    let net = Dit::new(&config, &Params::frozen(file.tensors, DType::F32, &Device::Cpu)).unwrap();
    let (x, t, _) = question();
    let labels = Tensor::new(&[3u32, 7, config.classes as u32], &Device::Cpu).unwrap();
    let both = net.forward(&x, &t, &labels).unwrap();
    let part = |start| both.narrow(1, start, 1).unwrap().contiguous().unwrap();
    Denoised { epsilon: part(0), variance: Some(part(1)) }
}

fn bits(denoised: &Denoised) -> Vec<u32> {
    let parts = [&denoised.epsilon, denoised.variance.as_ref().unwrap()];
    parts.iter().flat_map(|part| part.flatten_all().unwrap().to_vec1::<f32>().unwrap()).map(f32::to_bits).collect()
}

#[track_caller]
fn refused(denoiser: &dyn Denoiser, question: (&Tensor, &Tensor, &Tensor), part: &str) {
    let message = denoiser.denoise(question.0, question.1, question.2).unwrap_err().to_string();
    assert!(message.contains(part), "expected `{part}` in `{message}`");
}

fn behaves(denoiser: &dyn Denoiser) {
    let info = denoiser.info();
    assert_eq!((info.classes, info.channels, info.height, info.width, info.variance), (10, 1, 28, 28, true));
    let (x, t, classes) = question();
    let found = denoiser.denoise(&x, &t, &classes).unwrap();
    assert_eq!((found.epsilon.dims(), found.variance.as_ref().unwrap().dims()), (x.dims(), x.dims()));
    assert_eq!(bits(&found), bits(&directly()));
    // A column of a wider tensor is lent after it was made compact.
    let wide = Tensor::stack(&[&t, &t], 1).unwrap();
    let column = wide.narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
    assert_eq!(bits(&denoiser.denoise(&x, &column, &classes).unwrap()), bits(&found));

    let embedding = Tensor::zeros((3, 16), DType::F32, &Device::Cpu).unwrap();
    refused(denoiser, (&x, &t, &embedding), "its condition is a class, not an embedding");
    refused(denoiser, (&x, &t, &Tensor::new(&[3i64, 7, 10], &Device::Cpu).unwrap()), "class 10: it knows 0 to 9");
    refused(denoiser, (&x, &t, &Tensor::new(&[3i64, 7], &Device::Cpu).unwrap()), "needs f32 images [n, 1, 28, 28]");
    refused(denoiser, (&x, &t.to_dtype(DType::F64).unwrap(), &classes), "it got F32 [3, 1, 28, 28], F64 [3]");
    refused(denoiser, (&x.narrow(3, 0, 27).unwrap(), &t, &classes), "it got F32 [3, 1, 28, 27]");
}

#[test]
fn linked_in_and_opened_denoise_as_the_network_does() {
    behaves(linked().as_ref());
    behaves(open_denoiser(&plan(), &Device::Cpu).unwrap().as_ref());
}

#[test]
fn it_passes_the_self_test() {
    let (plugin, weights) = (plan().plugin, weights());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_limbeck"));
    let output =
        command.args(["backend", "check", "--json"]).arg(plugin).arg("--weights").arg(weights).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let findings = told["findings"].as_array().unwrap();
    assert!(findings.len() >= 9 && findings.iter().all(|finding| finding["operation"] == "denoise"), "{findings:#?}");
}

#[test]
fn what_it_can_not_do_is_said() {
    let message = open_classifier(&plan(), &Device::Cpu).err().unwrap().to_string();
    assert!(message.contains("is no teacher: it has `denoise`, not `classify`"), "{message}");
    let teacher = weights().with_file_name("teacher-weak.safetensors");
    let message =
        open_denoiser(&PluginPlan { weights: Some(teacher), ..plan() }, &Device::Cpu).err().unwrap().to_string();
    assert!(message.contains("is not a file that `limbeck train generator` wrote"), "{message}");
    let config = json!({ "steps": 3 });
    let message = open_denoiser(&PluginPlan { config, ..plan() }, &Device::Cpu).err().unwrap().to_string();
    assert!(message.contains("unknown field `steps`"), "{message}");
}
