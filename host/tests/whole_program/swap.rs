//! Teacher and weigher change by the recipe alone: the same host, by its hash, runs all of them.

use limbeck::run_dir::sha256_file;
use std::path::Path;

use crate::support::{LIMBECK, finish, json, results, run};

#[test]
fn the_recipe_alone_swaps_teacher_and_weigher() {
    let host = || sha256_file(Path::new(LIMBECK)).unwrap();
    let before = host();
    let scratch = tempfile::tempdir().unwrap();
    let out = |name: &str| scratch.path().join(name);
    finish(run(&out("candle"), &[]));
    finish(run(&out("uniform"), &["distill.weigher.policy=\"../dist/policies/uniform.wasm\""]));
    let c = [
        "teacher.plugin=\"../dist/plugins/libc_mlp.so\"",
        "teacher.weights=\"../assets/mnist/teacher-weak.safetensors\"",
    ];
    finish(run(&out("c"), &c));
    assert_eq!(host(), before);

    let teacher = |name: &str| json(&out(name), "eval.json")["teacher"].clone();
    let (candle, c) = (teacher("candle"), teacher("c"));
    assert_ne!(candle["sha256"], c["sha256"]);
    assert!(candle["top1"].as_f64().unwrap() > 0.99, "{candle}");
    assert!((0.94..0.97).contains(&c["top1"].as_f64().unwrap()), "{c}");

    // The same images were drawn; the students differ, as they were taught differently.
    let (first, second) = (results(&out("candle")), results(&out("uniform")));
    let student = Path::new("checkpoints/synthetic/seed-0/student.safetensors");
    let shard = Path::new("pool/round-000/000000.tar");
    assert_eq!(first[shard], second[shard]);
    assert_ne!(first[student], second[student]);
}
