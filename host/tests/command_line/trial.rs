//! A whole run in small: real digits, a real teacher and real policies, and a generator that was never trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::Device;
use limbeck::data::{Dataset, Split, load};
use limbeck::diffusion::generator::GeneratorConfig;
use limbeck::plan::{DataPlan, Files, Format, NoiseSchedule};
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::{Params, checkpoint};
use tempfile::TempDir;

/// Digits in each of the two splits.
const DIGITS: usize = 200;

/// Small enough for a second or two, with several shards, resume points and students.
const RECIPE: &str = r#"[run]
name = "trial"

[data]
format = "idx"
classes = 10
train = { images = "train-images", labels = "train-labels" }
test = { images = "test-images", labels = "test-labels" }

[generator]
weights = "dit.safetensors"

[synth]
images = 120
steps = 4
batch = 10
shard = 20

[teacher]
plugin = "PLUGIN"
allow-unpinned = true
weights = "ASSETS/mnist/teacher-weak.safetensors"

[select]
policy = "DIST/policies/entropy.wasm"
keep = 0.8

[distill]
student = "lenet5-half"
epochs = 6
batch = 16
seeds = [0, 1]
checkpoint-every = 5

[distill.optimizer]
lr = 0.002

[distill.augment]
crop-padding = 1
mixup = 0.2

[distill.weigher]
policy = "DIST/policies/confidence.wasm"

[baseline]
real = true
"#;

pub struct Trial {
    dir: TempDir,
}

impl Trial {
    /// Needs what `cargo xtask build` builds.
    pub fn new() -> Self {
        let root = root();
        assert!(root.join("dist/plugins").is_dir(), "run `cargo xtask build` first, or `cargo xtask test` instead");
        let trial = Self { dir: TempDir::new().expect("a temporary folder") };
        let digits = digits(&root);
        let (train, test): (Vec<_>, Vec<_>) = (0..2 * DIGITS).partition(|row| row % 2 == 0);
        trial.put_idx("train", &digits.subset(&train));
        trial.put_idx("test", &digits.subset(&test));
        trial.put("dit.safetensors", generator());
        let recipe = RECIPE.replace("PLUGIN", &plugin("candle_classifier"));
        let recipe = recipe.replace("DIST", &root.join("dist").display().to_string());
        trial.put("recipe.toml", recipe.replace("ASSETS", &root.join("assets").display().to_string()));
        trial
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).expect("a file in a temporary folder");
    }

    fn put_idx(&self, split: &str, data: &Dataset) {
        let header = |magic: u32, sizes: &[usize]| {
            let sizes = sizes.iter().map(|&size| u32::try_from(size).expect("a small size"));
            std::iter::once(magic).chain(sizes).flat_map(u32::to_be_bytes).collect::<Vec<u8>>()
        };
        let images = [header(0x803, &[data.len(), data.height, data.width]), data.images.clone()].concat();
        let labels = data.labels.iter().map(|&label| label as u8).collect();
        self.put(&format!("{split}-images"), images);
        self.put(&format!("{split}-labels"), [header(0x801, &[data.len()]), labels].concat());
    }

    /// `limbeck run` into the folder `out`, not started yet.
    pub fn command(&self, out: &str, overrides: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limbeck"));
        command.current_dir(self.path()).args(["run", "recipe.toml", "--out", out]);
        overrides.iter().for_each(|set| drop(command.args(["--set", set])));
        command
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run(&self, out: &str, overrides: &[String]) {
        done(&self.command(out, overrides).output().expect("the program runs"));
    }

    /// What must be the same after an interruption: shards, subset, students, the log and the figures.
    pub fn results(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let out = self.path().join(out);
        let mut results = BTreeMap::new();
        let mut folders = vec![out.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of the run").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if is_result(&path) {
                    let content = std::fs::read(&path).expect("a file of the run");
                    results.insert(path.strip_prefix(&out).expect("below it").to_owned(), content);
                }
            }
        }
        results
    }
}

/// Everything but times, locks and what a killed process may leave.
fn is_result(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let by_name = ["round-000.json", "index.json", "contact-sheet.png", "metrics.jsonl", "eval.json", "plan.toml"];
    name.ends_with(".tar") || name == "student.safetensors" || by_name.contains(&&*name)
}

/// Fails with what the program said unless it is done.
#[track_caller]
pub fn done(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ is in the workspace").to_owned()
}

/// What a recipe calls a plugin of this repository.
pub fn plugin(name: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    root().join("dist/plugins").join(format!("{prefix}{name}{suffix}")).display().to_string()
}

fn digits(root: &Path) -> Dataset {
    let file = |name: &str| root.join("assets/mnist").join(name);
    let images = file("t10k-images-idx3-ubyte.gz");
    let files = Files::Idx { images, labels: file("t10k-labels-idx1-ubyte.gz") };
    let plan = DataPlan { format: Format::Idx, classes: 10, train: None, test: Some(files) };
    load(&plan, Split::Test).expect("MNIST is in the repository")
}

/// The file of a generator with random weights.
pub fn generator() -> Vec<u8> {
    let model = DitConfig { size: 28, channels: 1, patch: 7, width: 16, depth: 1, heads: 2, classes: 10 };
    let params = Params::from_seed(5, &Device::Cpu);
    Dit::new(&model, &params).expect("a small network");
    let config = GeneratorConfig { model, steps: 100, schedule: NoiseSchedule::Cosine };
    let config = serde_json::to_string(&config).expect("plain numbers");
    let metadata = [("network".to_owned(), "dit".to_owned()), ("config".to_owned(), config)].into();
    checkpoint::to_bytes(&params.state(), &metadata).expect("a small file")
}
