//! Teacher and weigher change by the recipe alone: the same host, by its hash, runs all of them.

use limbeck::run_dir::sha256_file;
use std::path::Path;
use std::process::Command;

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
    let onnx = [
        "teacher.plugin=\"../dist/plugins/libonnx.so\"",
        "teacher.weights=\"../tests/golden/onnx/strong.onnx\"",
        "teacher.config={ mean = 0.1307, std = 0.3081, features = \"features\" }",
    ];
    let onnx_runs = finish_where_onnx_runtime_is(run(&out("onnx"), &onnx));
    assert_eq!(host(), before);

    let teacher = |name: &str| json(&out(name), "eval.json")["teacher"].clone();
    let (candle, c) = (teacher("candle"), teacher("c"));
    assert_ne!(candle["sha256"], c["sha256"]);
    assert!(candle["top1"].as_f64().unwrap() > 0.99, "{candle}");
    assert!((0.94..0.97).contains(&c["top1"].as_f64().unwrap()), "{c}");

    if onnx_runs {
        // The same network as candle's, exported; a digit on the edge may fall to the other side.
        let onnx = teacher("onnx");
        assert_ne!(candle["sha256"], onnx["sha256"]);
        let difference = candle["top1"].as_f64().unwrap() - onnx["top1"].as_f64().unwrap();
        assert!(difference.abs() <= 1e-3, "{candle}, {onnx}");
    }

    // The same images were drawn; the students differ, as they were taught differently.
    let (first, second) = (results(&out("candle")), results(&out("uniform")));
    let student = Path::new("checkpoints/synthetic/seed-0/student.safetensors");
    let shard = Path::new("pool/round-000/000000.tar");
    assert_eq!(first[shard], second[shard]);
    assert_ne!(first[student], second[student]);
}

/// Whether there is an ONNX Runtime for the command to use; says so on stderr if not.
fn finish_where_onnx_runtime_is(mut command: Command) -> bool {
    let output = command.output().expect("limbeck starts");
    let message = String::from_utf8_lossy(&output.stderr);
    let missing = message.contains("it needs ONNX Runtime, which is in none");
    assert!(output.status.success() || missing, "{}: {message}", output.status);
    if missing {
        assert!(std::env::var_os("ORT_DYLIB_PATH").is_none(), "{message}");
        eprintln!("SKIPPED, the ONNX teacher was not run: {message}");
    }
    !missing
}
