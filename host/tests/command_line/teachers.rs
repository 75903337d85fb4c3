//! Teachers that can't grade are known before any image is drawn.

use std::process::Command;

use crate::bad_files::untrained_generator;
use crate::before_work::put_digits;
use crate::support::Place;

const DESCRIPTION: &str = r#""{\"classes\":10,\"input\":{\"channels\":1,\"height\":28,\"width\":28}}""#;

/// A place whose teacher does `run` when it is asked, before it writes three of ten logits an image.
fn with_teacher(run: &str) -> Place {
    let place = Place::new();
    put_digits(&place, "test", 2);
    place.put("dit.safetensors", untrained_generator());
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/backends");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O3", "-I"]).arg(format!("{tests}/../../../plugin-api/backend/include"));
    compiler.args([
        format!("-DDESCRIPTION={DESCRIPTION}"),
        "-DSHAPES=out->dims[1] = 10".into(),
        format!("-DRUN={run}"),
    ]);
    compiler.arg("-o").arg(place.path().join("libteacher.so")).arg(format!("{tests}/hostile.c"));
    assert!(compiler.status().expect("these tests need a C compiler `cc`").success());
    place
}

const RUN: &[&str] = &["run", "recipe.toml", "--out", "out", "--set", "select.policy="];

#[test]
fn a_teacher_that_fails_or_grades_nan() {
    insta::assert_snapshot!(with_teacher("").refused(RUN), @"exit 1: error: trying the teacher with noise: plugin `[dir]/libteacher.so`: it gave NaN in the logits of row 0 of 2 (column 6 of 10): it left them unwritten, or its weights or normalisation are broken");
    insta::assert_snapshot!(with_teacher("SAY(\"no such luck\"); return LIMBECK_FAILED").refused(RUN), @"exit 1: error: trying the teacher with noise: plugin `[dir]/libteacher.so` failed in `run`: no such luck");
}

/// What is graded is graded: the teacher may be gone by then, or busy.
#[test]
fn a_finished_run_does_not_ask_its_teacher() {
    let run = "if (getenv(\"NO_TEACHER\")) return LIMBECK_FAILED; memset(logits, 0, 40 * in->shape[0])";
    let place = with_teacher(run);
    let mut limbeck = Command::new(env!("CARGO_BIN_EXE_limbeck"));
    limbeck
        .args(RUN)
        .args(["--quiet", "--set", "synth.images=10", "--set", "distill.epochs=1"])
        .current_dir(place.path());
    for gone in [false, true] {
        if gone {
            limbeck.env("NO_TEACHER", "");
        }
        let output = limbeck.output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
