//! Recipes with a slip of the pen.

use crate::support::Place;

/// What the user reads when `from` in the recipe is `to`.
#[track_caller]
fn with(from: &str, to: &str) -> String {
    let place = Place::new();
    place.edit(from, to);
    place.refused(&["run", "recipe.toml"])
}

/// What the user reads with this override.
#[track_caller]
fn set(set: &str) -> String {
    Place::new().refused(&["run", "recipe.toml", "--set", set])
}

#[test]
fn unknown_keys() {
    insta::assert_snapshot!(with("guidance", "guidence"), @"exit 2: error: unknown key `guidence` at recipe.toml:14:1: did you mean `guidance`?");
    insta::assert_snapshot!(with("[distill]", "[distil]"), @"exit 2: error: unknown key `distil` at recipe.toml:24:2: did you mean `distill`?");
    insta::assert_snapshot!(with("steps = 5", "colour = 5"), @"exit 2: error: unknown key `colour` at recipe.toml:15:1: the keys known here are images, sampler, steps, guidance, guided-channels, eta, batch, shard");
    insta::assert_snapshot!(set("synth.step=3"), @"exit 2: error: unknown key `step` in `--set synth.step=3`: did you mean `steps`?");
}

#[test]
fn missing_keys() {
    insta::assert_snapshot!(with("student = \"lenet5\"", ""), @"exit 2: error: missing key `distill.student` at recipe.toml:24:1: it has no default, so the recipe must set it");
    insta::assert_snapshot!(with("[generator]\nweights = \"dit.safetensors\"", ""), @"exit 2: error: missing key `generator` in recipe.toml: it has no default, so the recipe must set it");
    insta::assert_snapshot!(with("test = { images = \"test-images\", labels = \"test-labels\" }", ""), @"exit 2: error: missing key `data.test`: the student's accuracy is counted on it");
    insta::assert_snapshot!(with("allow-unpinned = true", ""), @r#"exit 2: error: plugin `[dir]/libteacher.so` is not pinned: set `teacher.sha256 = "3bdbb4fe8397cd2b842430b39ccff01a8663c751945ef5e9a09e267fb8b1d359"`, or `teacher.allow-unpinned = true` to load whatever is there"#);
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(with("images = 40", "images = \"forty\""), @r#"exit 2: error: wrong value for `synth.images` at recipe.toml:13:10: expected a whole number, 0 or more, found string "forty""#);
    insta::assert_snapshot!(with("images = 40", "images = 4.5"), @"exit 2: error: wrong value for `synth.images` at recipe.toml:13:10: expected a whole number, 0 or more, found floating point `4.5`");
    insta::assert_snapshot!(with("student = \"lenet5\"", "student = 5"), @"exit 2: error: wrong value for `distill.student` at recipe.toml:25:11: expected a text in quotes, found integer `5`");
    insta::assert_snapshot!(set("distill.seeds=1"), @"exit 2: error: wrong value for `distill.seeds` in `--set distill.seeds=1`: expected a list in brackets, found integer `1`");
    insta::assert_snapshot!(set("synth.sampler=dpm"), @"exit 2: error: unknown value `dpm` for `synth.sampler` in `--set synth.sampler=dpm`: did you mean `ddpm`?");
}

#[test]
fn values_out_of_range() {
    insta::assert_snapshot!(with("images = 40", "images = 0"), @"exit 2: error: `synth.images` at recipe.toml:13:10 is 0, must be at least 1 and at most 10000000");
    insta::assert_snapshot!(with("guidance = 2.0", "guidance = -1.0"), @"exit 2: error: `synth.guidance` at recipe.toml:14:12 is -1, must be at least 0 and at most 100");
    insta::assert_snapshot!(with("epochs = 2", "epochs = 0"), @"exit 2: error: `distill.epochs` at recipe.toml:26:10 is 0, must be at least 1 and at most 100000");
    insta::assert_snapshot!(set("distill.temperature=0"), @"exit 2: error: `distill.temperature` in `--set distill.temperature=0` is 0, must be more than 0 and at most 1000");
    insta::assert_snapshot!(set("run.name=a/b"), @"exit 2: error: `run.name` in `--set run.name=a/b` is `a/b`, must be 1 to 100 letters, digits, `-`, `_` or `.`, and not begin with `.`");
    insta::assert_snapshot!(set("run.seed=-1"), @"exit 2: error: wrong value for `run.seed` in `--set run.seed=-1`: expected a whole number, 0 or more, found integer `-1`");
}

#[test]
fn no_toml() {
    insta::assert_snapshot!(with("[synth]", "[synth"), @"exit 2: error: not valid TOML at recipe.toml:12:7: unclosed table, expected `]`");
    insta::assert_snapshot!(with("steps = 5", "steps 5"), @"exit 2: error: not valid TOML at recipe.toml:15:7: key with no value, expected `=`");
    insta::assert_snapshot!(set("synth.steps"), @"exit 2: error: --set synth.steps: expected key=value, such as `--set distill.epochs=20`");
    let place = Place::new();
    place.put("recipe.toml", b"\xff\xfe");
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml"]), @"exit 2: error: recipe `recipe.toml` is not text in UTF-8");
    insta::assert_snapshot!(place.refused(&["run", "none.toml"]), @"exit 2: error: can't read recipe `none.toml`: No such file or directory (os error 2)");
    insta::assert_snapshot!(place.refused(&["run", "."]), @"exit 2: error: recipe `.` is a folder: name a TOML file, such as recipes/mnist.toml");
}

#[test]
fn the_recipe_of_another_command() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["train", "classifier", "recipe.toml", "--out", "out"]), @"exit 2: error: unknown key `distill` at recipe.toml:24:2: the recipe is one of `limbeck run`: use that command");
    insta::assert_snapshot!(place.refused(&["train", "generator", "recipe.toml", "--out", "out"]), @"exit 2: error: unknown key `distill` at recipe.toml:24:2: the recipe is one of `limbeck run`: use that command");
}

#[test]
fn devices() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--device", "gpu"]), @r"
        exit 2: error: invalid value 'gpu' for '--device <DEVICE>': a device is `cpu`, `cuda` or `cuda:N`

        For more information, try '--help'.
        ");
    #[cfg(not(feature = "cuda"))]
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--device", "cuda:0"]), @"exit 2: error: device `cuda:0`: this limbeck was built without CUDA: build it with `--features cuda`, or use --device cpu");
}
