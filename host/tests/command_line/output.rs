//! Output directories that take no files: refused before any work, with nothing left behind.

use std::process::Command;

use crate::support::Place;

#[test]
fn a_file_in_its_place() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--out", "test-images"]), @"exit 2: error: output directory `test-images` is a file: choose another directory with --out");
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--out", "test-images/run"]), @"exit 2: error: output directory `test-images/run` can't be written: Not a directory (os error 20): choose another directory with --out");
}

/// Tests may run as root, whom permissions don't stop; the kernel's own file systems do.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_nobody_may_write() {
    let place = Place::new();
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--out", "/proc/limbeck"]), @"exit 2: error: output directory `/proc/limbeck` can't be written: No such file or directory (os error 2): choose another directory with --out");
    insta::assert_snapshot!(place.refused(&["run", "recipe.toml", "--out", "/sys/limbeck"]), @"exit 2: error: output directory `/sys/limbeck` can't be written: Operation not permitted (os error 1): choose another directory with --out");
}

/// A limit on the size of files stands for a full disk: the write fails in the same place.
#[test]
#[cfg(unix)]
fn a_full_disk() {
    let place = Place::new();
    let script = r#"trap "" XFSZ; ulimit -f 0; exec "$0" run recipe.toml --out out"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_limbeck")]);
    insta::assert_snapshot!(place.refused_by(&mut shell), @"exit 2: error: output directory `[dir]/out` can't be written: File too large (os error 27): free some space, or choose another directory with --out");
}
