//! `limbeck doctor`: what this machine and this build can do, and what was built.

use std::path::Path;
use std::process::Command;

use limbeck::Result;
use limbeck::device::{DeviceName, cuda_built_in};
use limbeck::progress::Progress;
use limbeck_onnx_runtime::Runtime;

/// What policies are built for.
const WASM: &str = "wasm32-wasip2";

pub fn doctor(progress: &Progress) -> Result<()> {
    progress.data(format_args!("limbeck     {}", env!("CARGO_PKG_VERSION")));
    progress.data(format_args!("system      {} {}", std::env::consts::OS, std::env::consts::ARCH));
    progress.data(format_args!("processor   {}", processor_features().join(" ")));
    progress.data(format_args!("threads     {}", rayon::current_num_threads()));
    progress.data(format_args!("cuda        {}", cuda()));
    progress.data(format_args!("free disk   {}", free_disk().unwrap_or_else(|| "unknown".into())));
    progress.data(format_args!("onnx plugin {}", onnx_runtime()));
    let compiler = first_line("cc", &["--version"]).unwrap_or_else(|| "no `cc`: policies in C need one".into());
    progress.data(format_args!("c compiler  {compiler}"));
    progress.data(format_args!("wasm target {}", wasm_target()));
    for (kind, folder, command) in
        [("plugins", "dist/plugins", "backend list"), ("policies", "dist/policies", "policy list")]
    {
        let shown = match file_names(Path::new(folder)).len() {
            0 => format!("none in {folder}: `cargo xtask build`"),
            count => format!("{count} files in {folder}: `limbeck {command}` names them"),
        };
        progress.data(format_args!("{kind:<11} {shown}"));
    }
    Ok(())
}

/// What a program says first, where there is such a program and it succeeds.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

/// The ONNX Runtime that the plugin in `dist/plugins` would load, or how to get one.
fn onnx_runtime() -> String {
    let beside = std::path::absolute("dist/plugins").unwrap_or_default();
    let found = limbeck_onnx_runtime::find(None, &beside).and_then(|path| Runtime::open(&path));
    match found {
        Ok(runtime) => format!("ONNX Runtime {}, `{}`", runtime.version(), runtime.path().display()),
        Err(why) => why.to_string(),
    }
}

/// Of the file system of the current folder, as `df` tells it.
fn free_disk() -> Option<String> {
    let output = Command::new("df").args(["-Pk", "."]).output().ok()?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let free: u64 = table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(format!("{:.1} GiB", free as f64 / f64::from(1 << 20)))
}

/// Whether policies in Rust can be built.
fn wasm_target() -> String {
    let folder = first_line("rustc", &["--print", "target-libdir", "--target", WASM]);
    match folder {
        Some(folder) if Path::new(&folder).is_dir() => WASM.to_owned(),
        _ => format!("no {WASM}: `rustup target add {WASM}`, to build policies in Rust or C"),
    }
}

/// Those features of the processor that make the arithmetic faster.
fn processor_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512bf16", std::is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(target_arch = "aarch64")]
    let known = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let known: [(&str, bool); 0] = [];
    known.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

fn cuda() -> String {
    if !cuda_built_in() {
        return "not in this build (`--features cuda`)".into();
    }
    let count = (0..64).take_while(|&number| DeviceName::Cuda(number).open().is_ok()).count();
    format!("{count} devices")
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
