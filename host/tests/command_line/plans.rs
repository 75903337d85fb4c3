//! The plan of an earlier run in the place of a recipe.

use limbeck::plan::Document as _;

use crate::support::Place;

/// A place with the plan of its recipe, `again.toml`, of which `from` is replaced by `to`.
fn planned(from: &str, to: &str) -> Place {
    let place = Place::new();
    let config = limbeck::recipe::load(&place.path().join("recipe.toml"), &[]).expect("the recipe is good");
    let text = limbeck::plan::plan(config, place.path()).and_then(|plan| plan.to_toml()).expect("the files are there");
    assert!(text.contains(from), "{text}");
    place.put("again.toml", text.replacen(from, to, 1));
    place
}

#[test]
fn files_that_are_no_longer_the_same() {
    let place = planned("", "");
    let run = || place.refused(&["run", "again.toml"]);
    let first = run();
    assert!(first.contains("`[dir]/dit.safetensors` is not a generator"), "past the hashes: {first}");
    place.put("filter.wasm", b"\0asm\x0d\0\x01\0 and more");
    insta::assert_snapshot!(run(), @"exit 2: error: `select.policy`: `[dir]/filter.wasm` has changed since the run was planned: put the old file back, or start another run");
    std::fs::remove_file(place.path().join("filter.wasm")).expect("it is there");
    insta::assert_snapshot!(run(), @"exit 2: error: `select.policy`: no file `[dir]/filter.wasm`: put it back, or change the path wherever the plan has it");
}

#[test]
fn plans_that_are_not_taken_as_they_are() {
    let other = planned("dit.safetensors", "other.safetensors");
    other.put("other.safetensors", "another generator");
    insta::assert_snapshot!(other.refused(&["run", "again.toml"]), @"exit 2: error: `again.toml`: there is no hash of `[dir]/other.safetensors` under `[inputs]`: a file that has moved must be named by its new path there too, and another one by a recipe");
    let place = planned("images = 40", "images = 0");
    insta::assert_snapshot!(place.refused(&["run", "again.toml"]), @"exit 2: error: again.toml: `synth.images` is 0, must be at least 1 and at most 10000000");
    insta::assert_snapshot!(place.refused(&["run", "again.toml", "--set", "synth.images=5"]), @"exit 2: error: --set synth.images=5: `again.toml` is a plan, which is done again as it is: set it with the recipe");
    insta::assert_snapshot!(place.refused(&["train", "classifier", "again.toml", "--out", "out"]), @"exit 2: error: `again.toml` is the plan of a run, not of a classifier's training: `limbeck run` does a run again, and `limbeck train` a training");
}
