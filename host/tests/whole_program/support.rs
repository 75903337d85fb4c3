//! A small but real run: few images, few steps, every stage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program under test.
pub const LIMBECK: &str = env!("CARGO_BIN_EXE_limbeck");

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ is in the workspace").to_owned()
}

/// The part of `dist/` that `cargo xtask build` makes; these tests are nothing without it.
pub fn dist(path: &str) {
    let path = root().join("dist").join(path);
    assert!(path.is_file(), "{} is missing: run `cargo xtask test`, which builds it first", path.display());
}

/// `limbeck run` of the digits' recipe, shrunk, into `out`, with `more` on top.
pub fn run(out: &Path, more: &[&str]) -> Command {
    dist("plugins/libcandle_classifier.so");
    dist("plugins/libonnx.so");
    dist("policies/teacher-filter.wasm");
    let small = [
        "synth.images=60",
        "synth.steps=6",
        "synth.sampler=\"ddim\"",
        "synth.shard=20",
        "synth.batch=10",
        "select.keep=0.8",
        "distill.epochs=4",
        "distill.batch=16",
        "distill.checkpoint-every=3",
        "distill.seeds=[0, 1]",
    ];
    limbeck(&["run", "recipes/mnist.toml"], small.iter().chain(more), out)
}

/// `limbeck train` of a classifier or a generator by a recipe with these settings, into `out`.
pub fn train(what: &str, recipe: &str, settings: &[&str], out: &Path) -> Command {
    limbeck(&["train", what, recipe], settings, out)
}

/// A command with these settings, into `out`.
pub fn limbeck<'a>(arguments: &[&str], settings: impl IntoIterator<Item = &'a &'a str>, out: &Path) -> Command {
    let mut command = Command::new(LIMBECK);
    command.current_dir(root()).arg("--quiet").args(arguments).arg("--out").arg(out);
    for set in settings {
        command.args(["--set", set]);
    }
    command
}

#[track_caller]
pub fn finish(mut command: Command) -> Output {
    let output = command.output().expect("limbeck starts");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {shown}", output.status);
    output
}

/// Everything that must be the same after an interruption: shards, subset, students, trained weights and metrics, by path.
pub fn results(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in
        ["pool", "rounds", "subset", "checkpoints", "metrics.jsonl", "classifier.safetensors", "generator.safetensors"]
    {
        collect(&out.join(folder), out, &mut files);
    }
    files.retain(|path, _| !path.to_string_lossy().contains("usage"));
    files
}

fn collect(path: &Path, base: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder of the run") {
            collect(&entry.expect("an entry").path(), base, files);
        }
    } else if path.is_file() {
        let name = path.strip_prefix(base).expect("inside the run").to_owned();
        files.insert(name, std::fs::read(path).expect("a file of the run"));
    }
}

/// The JSON of a file of the run.
pub fn json(out: &Path, name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}
