//! What `limbeck doctor` says of this machine.

use std::process::Command;

/// The line about the ONNX plugin, where this is the variable that names the library.
fn onnx_line(runtime: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limbeck"));
    let output = command.arg("doctor").env("ORT_DYLIB_PATH", runtime).output().expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().find(|line| line.starts_with("onnx plugin ")).unwrap_or_else(|| panic!("{lines}")).to_owned()
}

#[test]
fn the_library_of_the_onnx_plugin_or_the_way_to_get_it() {
    let missing = onnx_line("/absent");
    assert!(missing.contains("ORT_DYLIB_PATH is `/absent`, which does not exist"), "{missing}");
    assert!(missing.contains("`pip install onnxruntime`"), "{missing}");
    if let Some(runtime) = std::env::var_os("ORT_DYLIB_PATH") {
        let found = onnx_line(&runtime.to_string_lossy());
        assert!(found.starts_with("onnx plugin ONNX Runtime 1.") && found.contains("libonnxruntime"), "{found}");
    }
}
