//! A training from images on the disk: the same whatever the number of workers, and clear about a bad image.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::plan::Document as _;

/// Two classes of photographs of 80 x 64 pixels in one shard, some JPEG, some PNG, some WebP.
fn shard(dir: &TempDir) -> std::path::PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/images");
    let path = dir.path().join("000000.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut append = |name: String, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    for i in 0..12 {
        let file = ["photo.jpg", "photo.png", "photo.webp", "progressive.jpg"][i % 4];
        append(format!("{i:04}.{}", file.split_once('.').unwrap().1), &std::fs::read(golden.join(file)).unwrap());
        append(format!("{i:04}.cls"), (i % 2).to_string().as_bytes());
    }
    tar.finish().unwrap();
    path
}

fn plan(shard: &Path, workers: usize) -> ClassifierPlan {
    let text = PLAN.replace("SHARD", &format!("{shard:?}")).replace("WORKERS", &workers.to_string());
    ClassifierPlan::from_toml(&text, "toy").unwrap()
}

fn trained(dir: &TempDir, shard: &Path, workers: usize) -> Result<Vec<u8>> {
    let run = RunDir::create(&dir.path().join(format!("run-{workers}"))).unwrap();
    let plan = plan(shard, workers);
    let progress = Progress::new(Mode::Quiet);
    let material = prepare(&plan, &Device::Cpu, &progress)?;
    train(&plan, material, &run, &progress, &Device::Cpu)?;
    Ok(std::fs::read(run.join(WEIGHTS)).unwrap())
}

#[test]
fn the_number_of_workers_changes_no_byte() {
    let dir = TempDir::new().unwrap();
    let shard = shard(&dir);
    let one = trained(&dir, &shard, 1).unwrap();
    for workers in [2, 4] {
        assert!(trained(&dir, &shard, workers).unwrap() == one, "{workers} workers");
    }
}

/// Both before anything is written, not when their turn comes.
#[test]
fn bad_images_are_named_with_their_shard_before_training() {
    let dir = TempDir::new().unwrap();
    let shard = shard(&dir);
    let mut bytes = std::fs::read(&shard).unwrap();
    let first_jpeg = 512..1024;
    let png = bytes.windows(4).position(|bytes| bytes == b"\x89PNG").unwrap();
    bytes[first_jpeg].fill(0);
    bytes[png] = 0;
    std::fs::write(&shard, bytes).unwrap();
    let error = prepare(&plan(&shard, 2), &Device::Cpu, &Progress::new(Mode::Quiet)).err().unwrap();
    let message = error.to_string();
    assert!(
        message.contains("000000.tar`, image `0000`: it is neither JPEG nor PNG nor WebP: replace it or take it out"),
        "{message}"
    );
    assert!(message.contains(" (and 1 more: `") && message.ends_with("000000.tar`, image `0001`)"), "{message}");
    assert_eq!(error.exit_code(), 2);
}

const PLAN: &str = r#"
name = "toy"
seed = 0
network = "mlp"
epochs = 2
batch = 4
checkpoint-every = 100
workers = WORKERS

[optimizer]
lr = 0.01

[augment]
resized-crop = 0.3
flip = true
rand-augment = 2
brightness = 0.3
hue = 0.1
mixup = 0.2
cutmix = 0.5

[data]
format = "shards"
classes = 2
size = 16
train = { shards = { files = [SHARD] } }

[inputs]
"#;
