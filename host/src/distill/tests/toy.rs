//! A run directory of toy images that is ready to distil.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use tempfile::TempDir;

use super::teacher::Teacher;
use crate::Result;
use crate::distill::{CACHE_USE_FILE, CacheUse, MakeWeigher, run};
use crate::plan::{Document as _, Plan};
use crate::pool::{Image, Provenance, Sample, write_shard};
use crate::progress::{Mode, Progress};
use crate::run_dir::RunDir;

pub const SIDE: usize = 6;
pub const IMAGES: u64 = 40;

/// Class 0 is bright on the left, class 1 on the right.
fn pixels(id: u64) -> Vec<u8> {
    let bright = |i: usize| (i % SIDE < SIDE / 2) == id.is_multiple_of(2);
    (0..SIDE * SIDE).map(|i| if bright(i) { 180 + (id * 7 % 70) as u8 } else { (id * 13 % 60) as u8 }).collect()
}

pub fn idx(magic: u32, dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let head = std::iter::once(&magic).chain(dims).flat_map(|number| number.to_be_bytes());
    head.chain(bytes.iter().copied()).collect()
}

/// A run directory that is ready for this stage.
pub struct Toy {
    pub dir: TempDir,
    pub plan: Plan,
    pub run: RunDir,
}

impl Toy {
    pub fn new(extra: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let (images, labels) = (dir.path().join("images"), dir.path().join("labels"));
        let all: Vec<u8> = (0..IMAGES).flat_map(pixels).collect();
        let classes: Vec<u8> = (0..IMAGES).map(|id| (id % 2) as u8).collect();
        std::fs::write(&images, idx(0x803, &[IMAGES as u32, SIDE as u32, SIDE as u32], &all)).unwrap();
        std::fs::write(&labels, idx(0x801, &[IMAGES as u32], &classes)).unwrap();
        let files = format!("{{ idx = {{ images = {images:?}, labels = {labels:?} }} }}");
        let plan = if extra.contains("[distill.optimizer]") { PLAN.replace(OPTIMIZER, "") } else { PLAN.to_owned() };
        let augment = if extra.contains("[distill.augment]") { "" } else { "[distill.augment]\n" };
        let text = plan.replace("FILES", &files).replace("EXTRA", &format!("{extra}\n{augment}"));
        let plan = Plan::from_toml(&text, "toy").unwrap();
        let run = RunDir::create(&dir.path().join("run")).unwrap();
        write_shard(&run, 0, 0, &(0..IMAGES).map(sample).collect::<Vec<_>>()).unwrap();
        let kept: Vec<u64> = (0..IMAGES).filter(|id| id % 5 != 3).collect();
        run.write_json("subset/round-000.json", &serde_json::json!({ "kept": kept })).unwrap();
        Self { dir, plan, run }
    }

    pub fn distill(&self, weigher: &MakeWeigher<'_>) -> Result<()> {
        self.distill_from(&Teacher::new(SIDE), weigher)
    }

    pub fn distill_from(&self, teacher: &Teacher, weigher: &MakeWeigher<'_>) -> Result<()> {
        run(&self.plan, &self.run, &Progress::new(Mode::Quiet), &Device::Cpu, teacher, weigher, 0)
    }

    /// The step and the accuracy of the last line that a student wrote.
    pub fn last_accuracy(&self, arm: &str, seed: u64) -> (u64, f64) {
        let text = std::fs::read_to_string(self.run.join("metrics.jsonl")).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let last = lines.rfind(|line| line["arm"] == arm && line["seed"] == seed).unwrap();
        (last["step"].as_u64().unwrap(), last["accuracy"].as_f64().unwrap())
    }

    /// What the cache says that it did.
    pub fn cache_use(&self) -> CacheUse {
        self.run.read_json(CACHE_USE_FILE).unwrap().unwrap()
    }

    /// Every file below the run directory that must not depend on interruptions.
    pub fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.run.path(), self.run.path(), &mut found);
        found.retain(|name, _| !["pool", "subset", "cache", "teacher-cache"].iter().any(|part| name.starts_with(part)));
        found
    }
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

pub fn sample(id: u64) -> Sample {
    let class = (id % 2) as u32;
    let provenance = Provenance::of_class(class);
    Sample { id, class, image: Image { channels: 1, height: SIDE, width: SIDE, pixels: pixels(id) }, provenance }
}

const OPTIMIZER: &str = "[distill.optimizer]\nlr = 0.01\n";

const PLAN: &str = r#"
[run]
name = "toy"
seed = 0

[data]
format = "idx"
classes = 2
train = FILES
test = FILES

[generator]
weights = "/nowhere/dit.safetensors"
sha256 = "00"

[synth]
images = 40
sampler = "ddim"
steps = 1
guidance = 1.0
eta = 0.0
batch = 40
shard = 40

[teacher.members.teacher]
plugin = "/nowhere/teacher.so"
allow-unpinned = true
config = {}

[select]
keep = { fraction = 1.0 }
config = {}

[distill]
student = "mlp"
epochs = 5
batch = 8
temperature = 4.0
seeds = [0, 1]
checkpoint-every = 3


[distill.optimizer]
lr = 0.01

EXTRA

[baseline]
real = true

[limits]

[inputs]
"#;
