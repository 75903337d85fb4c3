//! `limbeck doctor`: what this machine and this build can do, and what was built.

use std::path::Path;

use limbeck::Result;
use limbeck::device::{DeviceName, cuda_built_in};
use limbeck::progress::Progress;

pub fn doctor(progress: &Progress) -> Result<()> {
    progress.data(format_args!("limbeck     {}", env!("CARGO_PKG_VERSION")));
    progress.data(format_args!("system      {} {}", std::env::consts::OS, std::env::consts::ARCH));
    progress.data(format_args!("processor   {}", processor_features().join(" ")));
    progress.data(format_args!("threads     {}", rayon::current_num_threads()));
    progress.data(format_args!("cuda        {}", cuda()));
    for (kind, folder) in [("plugins", "dist/plugins"), ("policies", "dist/policies")] {
        let names = file_names(Path::new(folder));
        let shown = if names.is_empty() { format!("none in {folder}: `cargo xtask build`") } else { names.join(" ") };
        progress.data(format_args!("{kind:<11} {shown}"));
    }
    Ok(())
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
