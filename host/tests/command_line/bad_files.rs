//! Files that are missing, of another kind, or damaged.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use limbeck::diffusion::generator::GeneratorConfig;
use limbeck::plan::NoiseSchedule;
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::{Params, checkpoint};

use crate::support::Place;

#[test]
fn missing_files() {
    let gone = |name: &str| {
        let place = Place::new();
        std::fs::remove_file(place.path().join(name)).expect("it was there");
        place.refused(&["run", "recipe.toml"])
    };
    insta::assert_snapshot!(gone("dit.safetensors"), @"exit 2: error: `generator.weights` at recipe.toml:10:11: no file `[dir]/dit.safetensors`: paths are relative to the recipe's folder");
    insta::assert_snapshot!(gone("libteacher.so"), @"exit 2: error: `teacher.plugin` at recipe.toml:18:10: no file `[dir]/libteacher.so`: paths are relative to the recipe's folder, and what is in dist/ is built by `cargo xtask build`");
    insta::assert_snapshot!(gone("filter.wasm"), @"exit 2: error: `select.policy` at recipe.toml:22:10: no file `[dir]/filter.wasm`: paths are relative to the recipe's folder, and what is in dist/ is built by `cargo xtask build`");
    insta::assert_snapshot!(gone("test-images"), @"exit 2: error: `data.test.images` at recipe.toml:7:19: no file `[dir]/test-images`: paths are relative to the recipe's folder");
}

#[test]
fn files_of_another_kind() {
    let set = |set: &str| Place::new().refused(&["run", "recipe.toml", "--set", set]);
    insta::assert_snapshot!(set("teacher.plugin=filter.wasm"), @"exit 2: error: `teacher.plugin` in `--set teacher.plugin=filter.wasm`: `[dir]/filter.wasm` is a WebAssembly component, a policy; a plugin, which is a dynamic library, belongs here (policies go to `select.policy` and `distill.weigher.policy`)");
    insta::assert_snapshot!(set("select.policy=libteacher.so"), @"exit 2: error: `select.policy` in `--set select.policy=libteacher.so`: `[dir]/libteacher.so` is a dynamic library, a plugin; a policy, which is a WebAssembly component, belongs here (plugins go to `teacher.plugin`)");
    insta::assert_snapshot!(set("distill.weigher={ policy = \"dit.safetensors\" }"), @r#"exit 2: error: `distill.weigher.policy` in `--set distill.weigher={ policy = "dit.safetensors" }`: `[dir]/dit.safetensors` is a safetensors file; a policy, which is a WebAssembly component, belongs here"#);
    insta::assert_snapshot!(set("generator.weights=recipe.toml"), @"exit 2: error: `generator.weights` in `--set generator.weights=recipe.toml`: `[dir]/recipe.toml` is of an unknown kind; weights in a safetensors file belong here");
    insta::assert_snapshot!(set("generator.weights=."), @"exit 2: error: `generator.weights` in `--set generator.weights=.`: `[dir]` is a folder, not a file");
}

#[test]
fn plugins_under_another_hash() {
    let place = Place::new();
    place.edit("allow-unpinned = true", &format!("sha256 = \"{}\"", "0".repeat(64)));
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml"]), @"exit 2: error: plugin `[dir]/libteacher.so` has the SHA-256 3bdbb4fe8397cd2b842430b39ccff01a8663c751945ef5e9a09e267fb8b1d359, but `teacher.sha256` is 0000000000000000000000000000000000000000000000000000000000000000: it is another file than the recipe means; if it is the right one, change `teacher.sha256`");
}

/// The bytes of a generator's file whose one tensor has this shape.
fn generator(config: &str, shape: (usize, usize)) -> Vec<u8> {
    generator_of(config, Tensor::zeros(shape, DType::F32, &Device::Cpu).expect("a small tensor"))
}

fn generator_of(config: &str, tensor: Tensor) -> Vec<u8> {
    let entries = [("network", "dit"), ("config", config)];
    let metadata = entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let tensors = BTreeMap::from([("x_embedder.proj.weight".to_owned(), tensor)]);
    checkpoint::to_bytes(&tensors, &metadata).expect("a small file")
}

#[test]
fn generators_that_are_none() {
    let with = |bytes: &[u8]| {
        let place = Place::new();
        place.put("dit.safetensors", bytes);
        place.refused(&["run", "recipe.toml"])
    };
    let model = r#"{"size":8,"channels":1,"patch":4,"width":16,"depth":1,"heads":2,"classes":10}"#;
    let config = format!(r#"{{"model":{model},"steps":100,"schedule":"cosine"}}"#);
    let whole = generator(&config, (16, 3));
    insta::assert_snapshot!(with(b"\x02\0\0\0\0\0\0\0{}"), @"exit 2: error: `[dir]/dit.safetensors` is not a generator: name a file that `limbeck train generator` wrote");
    insta::assert_snapshot!(with(&whole), @"exit 2: error: [dir]/dit.safetensors: tensor `x_embedder.proj.weight` has shape [16, 3], the network needs [16, 1, 4, 4]: the checkpoint is of another architecture, or of other classes, channels or image size");
    insta::assert_snapshot!(with(&whole[..whole.len() - 1]), @"exit 2: error: `[dir]/dit.safetensors` is not a readable safetensors file: incomplete metadata, file not fully covered");
    let infinite = Tensor::full(f32::INFINITY, (16, 1, 4, 4), &Device::Cpu).expect("a small tensor");
    insta::assert_snapshot!(with(&generator_of(&config, infinite)), @"exit 2: error: `[dir]/dit.safetensors` holds inf in tensor `x_embedder.proj.weight`: it is damaged, or of a training that diverged: name another file");
    insta::assert_snapshot!(with(&generator("{}", (1, 1))), @"exit 2: error: `[dir]/dit.safetensors` describes its network wrongly in its entry `config` (missing field `model` at line 1 column 2): train it again");
}

#[test]
fn plugins_and_policies_to_look_at() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["backend", "inspect", "filter.wasm"]), @"exit 2: error: plugin `[dir]/filter.wasm` is a WebAssembly component, where a native plugin (a shared library) belongs: components go under [select] or [distill.weigher]");
    insta::assert_snapshot!(place.refused(&["backend", "inspect", "none.so"]), @"exit 2: error: plugin `[dir]/none.so`: No such file or directory (os error 2): `limbeck backend list FOLDER` names those in a folder");
    insta::assert_snapshot!(place.refused(&["policy", "check", "libteacher.so"]), @"exit 2: error: policy `libteacher.so` is a native library or program, not a WebAssembly component: a plugin belongs under [teacher], a policy is built with `--target wasm32-wasip2`");
    insta::assert_snapshot!(place.refused(&["policy", "check", "none.wasm"]), @"exit 2: error: policy `none.wasm`: No such file or directory (os error 2): `limbeck policy list FOLDER` names those in a folder");
    insta::assert_snapshot!(place.refused(&["policy", "check", "filter.wasm"]), @"exit 2: error: policy `filter.wasm` doesn't export `limbeck:policy/lifecycle`: it is a component of another kind, or its macro `export_scorer!`, `export_selector!` or `export_weigher!` is missing");
}

#[test]
fn runs_that_are_none() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["report", "none"]), @"exit 2: error: `none` is not a run directory: give the directory that `limbeck run` wrote");
    std::fs::create_dir(place.path().join("training")).expect("a folder");
    insta::assert_snapshot!(place.refused(&["fidelity", "training"]), @"exit 2: error: `[dir]/training` has no plan.toml: give the directory that `limbeck run` wrote");
    place.put(
        "training/plan.toml",
        "# The plan of a classifier's training: all that is needed to do it again.\n\nseed = 0\n",
    );
    insta::assert_snapshot!(place.refused(&["report", "training"]), @"exit 2: error: `[dir]/training/plan.toml` is the plan of a classifier's training, not of a run: give the directory that `limbeck run` wrote");
    place.put("training/plan.toml", "# The plan of a run: all that is needed to do it again.\n\nrounds = 0\n");
    insta::assert_snapshot!(place.refused(&["report", "training"]), @"exit 2: error: `[dir]/training/plan.toml` is not the plan of a run: invalid type: integer `0`, expected struct RoundsPlan: it was changed, or another version of limbeck wrote it");
    insta::assert_snapshot!(place.refused(&["eval", "recipe.toml"]), @"exit 2: error: `recipe.toml` is not a run directory: give the directory that `limbeck run` wrote");
}

/// The file of a generator with random weights.
pub fn untrained_generator() -> Vec<u8> {
    let model = DitConfig { size: 28, channels: 1, patch: 7, width: 16, depth: 1, heads: 2, classes: 10 };
    let params = Params::from_seed(5, &Device::Cpu);
    Dit::new(&model, &params).expect("a small network");
    let config = GeneratorConfig { model, steps: 100, schedule: NoiseSchedule::Cosine };
    let config = serde_json::to_string(&config).expect("plain numbers");
    let metadata = [("network".to_owned(), "dit".to_owned()), ("config".to_owned(), config)].into();
    checkpoint::to_bytes(&params.state(), &metadata).expect("a small file")
}

#[test]
fn images_that_are_damaged() {
    let generator = untrained_generator();
    let with = |images: &[u8]| {
        let place = Place::new();
        place.put("dit.safetensors", &generator);
        place.put("test-labels", [0, 0, 8, 1, 0, 0, 0, 2, 4, 2]);
        place.put("test-images", images);
        place.refused(&["run", "recipe.toml"])
    };
    let header = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28];
    insta::assert_snapshot!(with(b""), @"exit 2: error: `[dir]/test-images`, byte 0: the magic number should have 4 bytes from here, but 0 are left: the file is truncated");
    insta::assert_snapshot!(with(b"images"), @"exit 2: error: `[dir]/test-images`, byte 0: the magic number is 0x696d6167, not 0x00000803: this is not an IDX file");
    insta::assert_snapshot!(with(&header), @"exit 2: error: `[dir]/test-images`, byte 16: the pixels should have 1568 bytes from here, but 0 are left: the file is truncated");
    insta::assert_snapshot!(with(&[header.as_slice(), &[0; 2 * 28 * 28 - 1]].concat()), @"exit 2: error: `[dir]/test-images`, byte 16: the pixels should have 1568 bytes from here, but 1567 are left: the file is truncated");
}
