//! The denoiser that comes with Limbeck, opened and linked in: the same assertions on both, and the network itself beside.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use limbeck::backend::{Denoised, Denoiser, Services, link_denoiser, open_classifier, open_denoiser};
use limbeck::device::DeviceName;
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

fn linked(device: &Device) -> Box<dyn Denoiser> {
    link_denoiser::<CandleDit>(&json!({ "weights": weights() }), device, Services::default()).unwrap()
}

/// The CPU, and the first CUDA device where one is compiled in and present.
fn devices() -> Vec<(DeviceName, Device)> {
    let open = |name: DeviceName| Some((name, name.open().ok()?));
    [DeviceName::Cpu, DeviceName::Cuda(0)].into_iter().filter_map(open).collect()
}

/// Three noisy digits at three steps, of classes 3 and 7 and of none.
fn question(device: &Device) -> (Tensor, Tensor, Tensor) {
    let noise = (0..3 * 784).map(|at| ((at * 7919 % 2003) as f32 / 1001.5 - 1.0) * 1.7).collect::<Vec<_>>();
    let x = Tensor::from_vec(noise, (3, 1, 28, 28), device).unwrap();
    let t = Tensor::new(&[0f32, 250.0, 999.0], device).unwrap();
    (x, t, Tensor::new(&[3i64, 7, -1], device).unwrap())
}

/// What the network itself says on a device, without any plugin.
fn directly(device: &Device) -> Denoised {
    let file = checkpoint::load(&weights()).unwrap();
    let config: serde_json::Value = serde_json::from_str(&file.entry("config").unwrap()).unwrap();
    let config: DitConfig = serde_json::from_value(config["model"].clone()).unwrap();
    let net = Dit::new(&config, &Params::frozen(file.tensors, DType::F32, device)).unwrap();
    let (x, t, _) = question(device);
    let labels = Tensor::new(&[3u32, 7, config.classes as u32], device).unwrap();
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

fn behaves(denoiser: &dyn Denoiser, device: &Device) {
    let info = denoiser.info();
    assert_eq!((info.classes, info.channels, info.height, info.width, info.variance), (10, 1, 28, 28, true));
    let (x, t, classes) = question(device);
    let found = denoiser.denoise(&x, &t, &classes).unwrap();
    assert!(found.epsilon.device().same_device(device), "the answer is where the images are");
    assert_eq!((found.epsilon.dims(), found.variance.as_ref().unwrap().dims()), (x.dims(), x.dims()));
    assert_eq!(bits(&found), bits(&directly(device)));
    // A column of a wider tensor is lent after it was made compact.
    let wide = Tensor::stack(&[&t, &t], 1).unwrap();
    let column = wide.narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
    assert_eq!(bits(&denoiser.denoise(&x, &column, &classes).unwrap()), bits(&found));

    let embedding = Tensor::zeros((3, 16), DType::F32, device).unwrap();
    refused(denoiser, (&x, &t, &embedding), "its condition is a class, not an embedding");
    refused(denoiser, (&x, &t, &Tensor::new(&[3i64, 7, 10], device).unwrap()), "class 10: it knows 0 to 9");
    refused(denoiser, (&x, &t, &Tensor::new(&[3i64, 7], device).unwrap()), "needs f32 images [n, 1, 28, 28]");
    refused(denoiser, (&x, &t.to_dtype(DType::F64).unwrap(), &classes), "it got F32 [3, 1, 28, 28], F64 [3]");
    refused(denoiser, (&x.narrow(3, 0, 27).unwrap(), &t, &classes), "it got F32 [3, 1, 28, 27]");
}

#[test]
fn linked_in_and_opened_denoise_as_the_network_does() {
    for (_, device) in devices() {
        behaves(linked(&device).as_ref(), &device);
        behaves(open_denoiser(&plan(), &device, Services::default()).unwrap().as_ref(), &device);
    }
}

#[test]
fn it_passes_the_self_test() {
    devices().into_iter().for_each(|(name, _)| passes_the_self_test_on(name));
}

fn passes_the_self_test_on(device: DeviceName) {
    let (plugin, weights, device) = (plan().plugin, weights(), device.to_string());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_limbeck"));
    command.args(["backend", "check", "--json", "--device", &device]).arg(plugin).arg("--weights").arg(weights);
    let output = command.output().unwrap();
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
    let message = open_denoiser(&PluginPlan { weights: Some(teacher), ..plan() }, &Device::Cpu, Services::default())
        .err()
        .unwrap()
        .to_string();
    assert!(message.contains("is not a file that `limbeck train generator` wrote"), "{message}");
    let config = json!({ "steps": 3 });
    let message =
        open_denoiser(&PluginPlan { config, ..plan() }, &Device::Cpu, Services::default()).err().unwrap().to_string();
    assert!(message.contains("unknown field `steps`"), "{message}");
}
