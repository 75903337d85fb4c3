//! Checkpoints of ours in PyTorch: really loaded there by name, and their logits compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use candle_core::{Device, Tensor};
use limbeck_models::classifier::{Mode, Noise};
use limbeck_models::optim::{Optimizer, Rule};
use limbeck_models::{Params, checkpoint, classifier};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// One of each family, with the side of the images.
const NETWORKS: &[(&str, usize)] = &[
    ("resnet18", 64),
    ("resnet50", 64),
    ("vgg11_bn", 32),
    ("mobilenet_v2", 64),
    ("shufflenet_v2_x1_0", 64),
    ("efficientnet_b0", 64),
    ("vit_b_16", 32),
    ("convnext_tiny", 64),
    ("resnet8x4", 32),
    ("cifar-resnet18", 32),
    ("wrn-16-2", 32),
    ("cifar-vgg8", 32),
];

/// Writes a student that has taken one step, so that nothing of it is as it began, with images and its logits.
fn write_student(folder: &Path, network: &str, size: usize) {
    let params = Params::from_seed(11, &Device::Cpu);
    let built = classifier::build(network, 10, 3, size, &params).unwrap();
    let images = Tensor::randn(0f32, 1.0, (4, 3, size, size), &Device::Cpu).unwrap();
    let direction = Tensor::randn(0f32, 1.0, (4, 10), &Device::Cpu).unwrap();
    let noise = Noise::new(ChaCha8Rng::seed_from_u64(1));
    let loss = (built.forward(&images, Mode::Training(&noise)).unwrap().logits * direction).unwrap().sum_all().unwrap();
    let rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    Optimizer::new(rule, params.parameters()).unwrap().step(&loss.backward().unwrap(), 1e-3).unwrap();
    let logits = built.forward(&images, Mode::Evaluation).unwrap().logits.detach();
    let metadata = [("network".to_owned(), network.to_owned()), ("size".to_owned(), size.to_string())];
    let student = checkpoint::to_bytes(&params.state(), &BTreeMap::from(metadata)).unwrap();
    let expected = BTreeMap::from([("images".to_owned(), images), ("logits".to_owned(), logits)]);
    std::fs::write(folder.join(format!("{network}.safetensors")), student).unwrap();
    let expected = checkpoint::to_bytes(&expected, &BTreeMap::new()).unwrap();
    std::fs::write(folder.join(format!("{network}.expected")), expected).unwrap();
}

#[test]
fn checkpoints_load_in_pytorch_by_name() {
    let python = std::env::var("LIMBECK_PYTHON").unwrap_or_else(|_| "python3".into());
    let modules = Command::new(&python).args(["-c", "import torchvision, safetensors.torch"]).output();
    if !modules.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("LIMBECK_PYTHON").is_none(), "`{python}` has no torchvision and safetensors");
        eprintln!("SKIPPED: `{python}` has no torchvision and safetensors; LIMBECK_PYTHON names another Python");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (network, size) in NETWORKS {
        write_student(folder.path(), network, *size);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/load_checkpoints.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    // With --nocapture, the table of docs/networks.md.
    println!("{printed}");
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed.matches("loaded").count(), NETWORKS.len());
}
