use std::path::Path;

use super::*;
use crate::config::Config;
use crate::{Error, Result};

/// A folder with every file that the test recipe names.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| std::fs::write(dir.path().join(name), content).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    for name in ["train-images", "train-labels", "test-images", "test-labels"] {
        put(&format!("data/{name}.gz"), name.as_bytes());
    }
    put("dit.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    put("teacher.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    put("libteacher.so", b"\x7fELF");
    put("filter.wasm", b"\0asm\x0d\0\x01\0");
    put("weigher.wasm", b"\0asm\x0d\0\x01\0w");
    dir
}

fn plan_in(dir: &Path, overrides: &[&str]) -> Result<Plan> {
    let overrides: Vec<_> = overrides.iter().map(|&set| set.to_owned()).collect();
    let config: Config = crate::recipe::parse(include_str!("../testdata/recipe.toml"), "x.toml", &overrides).unwrap();
    plan(config, dir)
}

#[track_caller]
fn complaint(overrides: &[&str]) -> String {
    let dir = files();
    let error = plan_in(dir.path(), overrides).expect_err("the recipe is wrong");
    assert!(matches!(error, Error::Input(_)), "{error:?}");
    let root = dir.path().canonicalize().unwrap();
    error.to_string().replace(&root.display().to_string(), "[dir]")
}

#[test]
fn a_plan_has_absolute_paths_and_hashes() {
    let dir = files();
    let plan = plan_in(dir.path(), &[]).unwrap();
    assert!(plan.teacher.members["teacher"].plugin.is_absolute());
    assert_eq!(plan.inputs.len(), 9);
    assert_eq!(plan.inputs["generator.weights"].sha256, plan.generator.sha256);
    assert_eq!(plan.select.keep.of(plan.synth.images), 20);
}

#[test]
fn a_plan_round_trips_through_its_file() {
    let dir = files();
    let plan = plan_in(
        dir.path(),
        &["teacher.config={ deep = { list = [1, 2.5, \"x\"] } }", "select.budget=3", "select.keep=0.5"],
    );
    assert!(plan.is_err());
    let plan = plan_in(dir.path(), &["teacher.config={ deep = { list = [1, 2.5, \"x\"] } }"]).unwrap();
    let text = plan.to_toml().unwrap();
    assert_eq!(Plan::from_toml(&text, "plan.toml").unwrap(), plan);
    let error = Plan::from_toml(&text.replace("steps = 20", "steps = 0"), "plan.toml").unwrap_err();
    assert!(error.to_string().contains("`synth.steps` is 0"), "{error}");
}

#[test]
fn differences_are_named_by_key() {
    let dir = files();
    let a = plan_in(dir.path(), &[]).unwrap();
    let b = plan_in(dir.path(), &["distill.epochs=3", "distill.optimizer.lr=1", "distill.seeds=[5]"]).unwrap();
    assert_eq!(a.differences(&a).unwrap(), [""; 0]);
    assert_eq!(a.differences(&b).unwrap(), ["distill.epochs", "distill.optimizer.lr", "distill.seeds"]);

    std::fs::write(dir.path().join("filter.wasm"), b"\0asm\x0d\0\x01\0 rebuilt").unwrap();
    assert_eq!(a.differences(&plan_in(dir.path(), &[]).unwrap()).unwrap(), ["select.policy"]);
}

#[test]
fn a_temperature_by_deviation_needs_a_loss_that_has_use_for_it() {
    let unit = "distill.temperature-unit=logit-std";
    for (kind, why) in [
        ("kd-standardised", "`kd-standardised` divides by the deviation itself"),
        ("logit-mse", "`logit-mse` has no temperature"),
    ] {
        let found = complaint(&[unit, &format!("distill.loss.kind={kind}")]);
        assert!(found.starts_with("`distill.temperature-unit` is `logit-std`") && found.contains(why), "{found}");
    }
    let two = complaint(&["data.classes=2", "distill.loss.kind=kd-standardised"]);
    assert!(two.contains("`data.classes` is 2") && two.contains("has no gradient"), "{two}");
    for kind in ["kd", "dkd", "dist"] {
        plan_in(files().path(), &[unit, &format!("distill.loss.kind={kind}")]).unwrap();
    }
}

#[test]
fn moved_files_make_no_difference() {
    let (here, there) = (files(), files());
    let a = plan_in(here.path(), &[]).unwrap();
    assert_eq!(a.differences(&plan_in(there.path(), &[]).unwrap()).unwrap(), [""; 0]);
}

#[test]
fn wrong_files_are_named_with_the_remedy() {
    insta::assert_snapshot!(complaint(&["teacher.plugin=none.so"]), @"`teacher.plugin`: no file `[dir]/none.so`: paths are relative to the recipe's folder, and what is in dist/ is built by `cargo xtask build`");
    insta::assert_snapshot!(complaint(&["generator.weights=none"]), @"`generator.weights`: no file `[dir]/none`: paths are relative to the recipe's folder");
    insta::assert_snapshot!(complaint(&["teacher.plugin=filter.wasm"]), @"`teacher.plugin`: `[dir]/filter.wasm` is a WebAssembly component, a policy; a plugin, which is a dynamic library, belongs here (policies go to `select.policy` and `distill.weigher.policy`)");
    insta::assert_snapshot!(complaint(&["select.policy=libteacher.so"]), @"`select.policy`: `[dir]/libteacher.so` is a dynamic library, a plugin; a policy, which is a WebAssembly component, belongs here (plugins go to `teacher.plugin`)");
    insta::assert_snapshot!(complaint(&["generator.weights=data"]), @"`generator.weights`: `[dir]/data` is a folder, not a file");
    insta::assert_snapshot!(complaint(&["data.train.path=data"]), @"`data.train.path` does not fit `data.format`, which needs `images` and `labels`");
    insta::assert_snapshot!(complaint(&["data.format=folder"]), @"`data.train.images` does not fit `data.format`, which needs `path`");
    insta::assert_snapshot!(complaint(&["data.test={ images = \"data/test-images.gz\" }"]), @"missing key `data.test.labels`: `data.format` needs it");
}

#[test]
fn pins_are_checked() {
    insta::assert_snapshot!(complaint(&["teacher.allow-unpinned=false"]), @r#"plugin `[dir]/libteacher.so` is not pinned: set `teacher.sha256 = "3bdbb4fe8397cd2b842430b39ccff01a8663c751945ef5e9a09e267fb8b1d359"`, or `teacher.allow-unpinned = true` to load whatever is there"#);
    insta::assert_snapshot!(complaint(&["teacher.sha256=00ff"]), @"`teacher.sha256` is `00ff`, not a SHA-256: 64 hexadecimal digits, as `limbeck backend inspect` prints them");
}

#[test]
fn values_out_of_range_are_named() {
    insta::assert_snapshot!(complaint(&["synth.steps=0"]), @"`synth.steps` is 0, must be at least 1 and at most 10000");
    insta::assert_snapshot!(complaint(&["distill.temperature=nan"]), @"`distill.temperature` is NaN, must be more than 0 and at most 1000");
    insta::assert_snapshot!(complaint(&["select.keep=1.5"]), @"`select.keep` is 1.5, must be more than 0 and at most 1");
    insta::assert_snapshot!(complaint(&["select.budget=7"]), @"`select.keep` and `select.budget` are both set: keep a share or a number, not both (`--set select.keep=` takes the share out)");
    insta::assert_snapshot!(complaint(&["distill.seeds=[1, 1]"]), @"`distill.seeds` has 1 twice: it would train the same student twice");
    insta::assert_snapshot!(complaint(&["run.name=../up"]), @"`run.name` is `../up`, must be 1 to 100 letters, digits, `-`, `_` or `.`, and not begin with `.`");
    insta::assert_snapshot!(complaint(&["distill.optimizer.warmup-epochs=9"]), @"`distill.optimizer.warmup-epochs` is 9, must be at least 0 and at most 2");
}

#[test]
fn changed_inputs_are_noticed() {
    let dir = files();
    let plan = plan_in(dir.path(), &[]).unwrap();
    verify_inputs(&plan.inputs).unwrap();
    std::fs::write(dir.path().join("filter.wasm"), b"\0asm\x0d\0\x01\0 rebuilt").unwrap();
    let error = verify_inputs(&plan.inputs).unwrap_err().to_string();
    assert!(error.starts_with("`select.policy`") && error.contains("has changed since"), "{error}");
}

/// The test recipe with these teachers in place of its own.
fn several(teachers: &str, ensemble: &str) -> Result<Plan> {
    let dir = files();
    let recipe = include_str!("../testdata/recipe.toml");
    let (before, rest) = recipe.split_once("[teacher]").unwrap();
    let after = &rest[rest.find("[select]").unwrap()..];
    let text = format!("{before}{teachers}\n{ensemble}\n{after}");
    let config: Config = crate::recipe::parse(&text, "x.toml", &[])?;
    plan(config, dir.path())
}

const PLUGIN: &str = "plugin = \"libteacher.so\"\nallow-unpinned = true";

#[test]
fn several_teachers_are_planned_by_name() {
    let teachers =
        format!("[[teacher]]\nname = \"strong\"\n{PLUGIN}\nweights = \"teacher.safetensors\"\n[[teacher]]\n{PLUGIN}");
    let plan = several(&teachers, "").unwrap();
    assert_eq!((plan.teacher.combine, plan.teacher.classes.len()), (Combine::MeanLogits, 0));
    assert_eq!(plan.teacher.members.keys().collect::<Vec<_>>(), ["2", "strong"]);
    assert!(plan.inputs.contains_key("teacher.strong.weights") && plan.inputs.contains_key("teacher.2.plugin"));
    let text = plan.to_toml().unwrap();
    assert_eq!(Plan::from_toml(&text, "plan.toml").unwrap(), plan);
    let probabilities = several(&teachers, "[ensemble]\ncombine = \"mean-probabilities\"").unwrap();
    assert_ne!(plan.teacher_key(), probabilities.teacher_key());
    assert_eq!(plan.teacher_key(), several(&teachers, "").unwrap().teacher_key());
}

#[test]
fn classes_go_to_who_claims_them_and_else_to_the_most_accurate() {
    let per_class = "[ensemble]\ncombine = \"per-class\"";
    let teacher = |name: &str, more: &str| format!("[[teacher]]\nname = \"{name}\"\n{PLUGIN}\n{more}\n");
    let of = |one: &str, other: &str| several(&(teacher("a", one) + &teacher("b", other)), per_class);
    let plan = of("classes = [1, 3]\naccuracy = 0.5", "accuracy = 0.75").unwrap();
    assert_eq!(plan.teacher.classes.join(""), "babab".to_owned() + "bbbbb");
    let plan = of("accuracy = 0.5", "accuracy = [0.1, 0.9, 0.5, 0, 1, 0, 0, 0, 0, 0]").unwrap();
    assert_eq!(plan.teacher.classes.join(""), "abaabaaaaa", "of equals the first");
    let wrong = |one: &str, other: &str| of(one, other).unwrap_err().to_string();
    assert_eq!(
        wrong("classes = [1]", "classes = [2]"),
        "no teacher decides class 0: put it into the `classes` of one, or give their `accuracy`"
    );
    assert_eq!(
        wrong("classes = [0, 1, 2]", "classes = [2]"),
        "class 2 is claimed by teacher `a` and by teacher `b`: leave it to one of them"
    );
    assert_eq!(
        wrong("classes = [10]", "accuracy = 1"),
        "teacher `a` claims class 10, the recipe has classes 0 to 9: change its `classes`"
    );
    assert_eq!(
        wrong("accuracy = [1, 1]", "accuracy = 1"),
        "teacher `a` has 2 accuracies, the recipe has 10 classes: give one number, or one a class"
    );
    assert_eq!(wrong("accuracy = 1.5", "accuracy = 1"), "`teacher.accuracy` is 1.5, must be at least 0 and at most 1");
}

#[test]
fn keys_of_several_teachers_are_refused_where_there_is_one() {
    assert_eq!(
        complaint(&["teacher.name=strong"]),
        "`teacher.name` is for several teachers: write each as `[[teacher]]`"
    );
    assert_eq!(
        complaint(&["ensemble.combine=per-class"]),
        "`ensemble` is for several teachers: write each as `[[teacher]]`"
    );
    let twice = format!("[[teacher]]\nname = \"a\"\n{PLUGIN}\n").repeat(2);
    assert_eq!(
        several(&twice, "").unwrap_err().to_string(),
        "two teachers have the name `a`: give each its own `name`"
    );
    let claim = format!("[[teacher]]\n{PLUGIN}\nclasses = [1]\n[[teacher]]\n{PLUGIN}");
    assert_eq!(
        several(&claim, "").unwrap_err().to_string(),
        r#"teacher `1` has `classes` or `accuracy`, which only `ensemble.combine = "per-class"` uses"#
    );
    let unpinned = several("[[teacher]]\nplugin = \"libteacher.so\"", "").unwrap_err().to_string();
    assert!(unpinned.contains("is not pinned: set `teacher.1.sha256 = "), "{unpinned}");
}

#[test]
fn rounds_share_out_the_images() {
    let dir = files();
    let plan = plan_in(dir.path(), &["rounds={ count = 4, images-per-round = 5 }"]).unwrap();
    let ids: Vec<_> = (0..4).map(|round| plan.round_ids(round)).collect();
    assert_eq!(ids, [0..25, 25..30, 30..35, 35..40]);
    let plan = plan_in(dir.path(), &["rounds={ count = 3 }", "distill.seeds=[4, 2]"]).unwrap();
    assert_eq!((plan.round_ids(0), plan.round_ids(2)), (0..14, 27..40), "the first takes what does not divide");
    assert_eq!((plan.training_in(0).distill.seeds, plan.training_in(2).distill.seeds), (vec![4], vec![4, 2]));
    assert_eq!(Plan::from_toml(&plan.to_toml().unwrap(), "plan.toml").unwrap(), plan);
    let plan = plan_in(dir.path(), &[]).unwrap();
    assert_eq!((plan.round_count(), plan.round_ids(0), plan.is_last(0)), (1, 0..40, true));
}

#[test]
fn what_can_be_kept_at_most_is_known_before_anything_is_drawn() {
    let most = |overrides: &[&str]| plan_in(files().path(), overrides).unwrap().most_kept();
    assert_eq!(most(&[]), 20);
    assert_eq!(most(&["rounds={ count = 4, images-per-round = 5 }"]), 13 + 3 * 3, "a half of each round, rounded up");
    let chain =
        "select={ chain = [{ policy = \"filter.wasm\", keep = 0.5 }, { policy = \"filter.wasm\", budget = 7 }] }";
    assert_eq!(most(&[chain]), 7);
}

#[test]
fn impossible_rounds_are_refused() {
    let says = |rounds: &str, why: &str| {
        let message = complaint(&[&format!("rounds={{ {rounds} }}")]);
        assert!(message.contains(why), "{message}");
    };
    says("count = 0", "`rounds.count` is 0, must be at least 1");
    says("count = 41", "`rounds.count` is 41, and `synth.images` are 40: every round needs an image");
    says("count = 3, images-per-round = 20", "`rounds.images-per-round` is 20, must be at least 1 and at most 19");
    says("count = 2, held-out = 1.0", "`rounds.held-out` is 1, must be more than 0 and at most 0.9");
    let budget = complaint(&["rounds={ count = 2 }", "select={ budget = 3 }"]);
    assert!(budget.contains("`[rounds]` has several: set `keep` instead"), "{budget}");
}

#[test]
fn a_chain_has_parameters_of_its_own() {
    let dir = files();
    let chain = "select={ chain = [{ policy = \"filter.wasm\" }, { policy = \"filter.wasm\", keep = 0.5, role = \"selector\" }] }";
    let plan = plan_in(dir.path(), &[chain]).unwrap();
    assert_eq!((plan.select.chain.len(), plan.select.chain[1].keep), (2, Keep::Fraction(0.5)));
    assert!(plan.inputs.contains_key("select.chain.1.policy"));
    assert_eq!(Plan::from_toml(&plan.to_toml().unwrap(), "plan.toml").unwrap(), plan);
    let both = complaint(&["select.chain=[{ policy = \"filter.wasm\" }]"]);
    assert_eq!(
        both,
        "`select.chain` and `select.policy` are both set: each policy of `[[select.chain]]` has a `policy` of its own"
    );
    let missing = complaint(&["select={ chain = [{ policy = \"filter.wasm\" }, { policy = \"none.wasm\" }] }"]);
    assert!(missing.starts_with("`select.chain.1.policy`: no file"), "{missing}");
    let weighers = complaint(&["distill.weighers=[{ policy = \"weigher.wasm\" }]"]);
    assert!(weighers.contains("put all of them into `[[distill.weighers]]`"), "{weighers}");
}

#[test]
fn a_generator_is_weights_or_a_plugin() {
    let dir = files();
    let plan = plan_in(dir.path(), &["generator.plugin=libteacher.so", "generator.allow-unpinned=true"]).unwrap();
    assert_eq!(plan.generator.sha256, plan.inputs["generator.weights"].sha256);
    assert!(plan.inputs.contains_key("generator.plugin") && plan.generator.plugin.is_some());
    assert_eq!(Plan::from_toml(&plan.to_toml().unwrap(), "plan.toml").unwrap(), plan);
    std::fs::write(dir.path().join("libteacher.so"), b"\x7fELF rebuilt").unwrap();
    let again = plan_in(dir.path(), &["generator.plugin=libteacher.so", "generator.allow-unpinned=true"]).unwrap();
    assert!(plan.differences(&again).unwrap().contains(&"generator.plugin.plugin".to_owned()));

    insta::assert_snapshot!(complaint(&["generator={}"]), @"missing key `generator.weights`: the network that draws is in it");
    insta::assert_snapshot!(complaint(&["generator.sha256=abc"]), @"`generator.sha256` is for a plugin: name one as `generator.plugin`, or leave it out");
    insta::assert_snapshot!(complaint(&["generator.plugin=libteacher.so"]), @r#"plugin `[dir]/libteacher.so` is not pinned: set `generator.sha256 = "3bdbb4fe8397cd2b842430b39ccff01a8663c751945ef5e9a09e267fb8b1d359"`, or `generator.allow-unpinned = true` to load whatever is there"#);
    insta::assert_snapshot!(complaint(&["generator.plugin=libteacher.so", "generator.sha256=abc"]), @"`generator.sha256` is `abc`, not a SHA-256: 64 hexadecimal digits, as `limbeck backend inspect` prints them");
    insta::assert_snapshot!(complaint(&["generator.plugin=filter.wasm"]), @"`generator.plugin`: `[dir]/filter.wasm` is a WebAssembly component, a policy; a plugin, which is a dynamic library, belongs here (policies go to `select.policy` and `distill.weigher.policy`)");
    insta::assert_snapshot!(complaint(&["generator.plugin=libteacher.so", "generator.schedule=linear"]), @"missing key `generator.train-steps`: `generator.schedule` says only half of it");
}
