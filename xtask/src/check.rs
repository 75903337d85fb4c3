//! Everything that judges a change.

use std::process::Command;

use anyhow::{Result, bail};

use crate::build::build;
use crate::shell::{Workspace, run};

/// Builds, then runs every test of the workspace, optimised: whole-program tests need what was built.
pub fn test(workspace: &Workspace, more: &[String]) -> Result<()> {
    build(workspace, &[])?;
    run(workspace.cargo(["test", "--release", "--workspace"]).args(more))
}

pub fn ci(workspace: &Workspace) -> Result<()> {
    run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    test(workspace, &[])?;
    run(&mut workspace.cargo(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let mut doc = workspace.cargo(["doc", "--release", "--workspace", "--no-deps"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Builds everything, tests too, with the features `cuda` and `cuda,cudnn`, apart from the usual build.
pub fn cuda(workspace: &Workspace) -> Result<()> {
    if std::env::var_os("CUDA_HOME").is_none() {
        bail!("CUDA_HOME is not set: install a CUDA toolkit (12 or newer) and set it to its folder");
    }
    if Command::new("nvcc").arg("--version").output().is_err() {
        bail!("nvcc is not in PATH: add $CUDA_HOME/bin");
    }
    let no_gpu = Command::new("nvidia-smi").output().is_err();
    for features in ["cuda", "cuda,cudnn"] {
        let mut command = workspace.cargo(["build", "--release", "--workspace", "--all-targets"]);
        command.args(["--features", features, "--target-dir"]).arg(workspace.target().join("cuda"));
        if no_gpu && std::env::var_os("CUDA_COMPUTE_CAP").is_none() {
            // The kernels' build script asks the GPU otherwise.
            command.env("CUDA_COMPUTE_CAP", "90");
        }
        run(&mut command)?;
    }
    eprintln!("The workspace and its tests build with `cuda`, and with `cuda,cudnn`.");
    Ok(())
}
