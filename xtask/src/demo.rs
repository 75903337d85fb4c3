//! The main job on handwritten digits, with the teacher pinned to the plugin that was just built.

use std::process::Command;

use anyhow::Result;
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::build::build;
use crate::shell::{Workspace, run};

const RECIPE: &str = "recipes/mnist.toml";
const OUT: &str = "runs/mnist";
/// The folder of the teacher that the recipe names.
const TEACHER: &str = "candle-classifier";

pub fn demo(workspace: &Workspace, more: &[String]) -> Result<()> {
    let dist = build(workspace, &[])?;
    let plugin = dist.plugin(TEACHER);
    let sha256: String = Sha256::digest(fs::read(&plugin)?).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new(workspace.limbeck());
    command.current_dir(workspace.root()).args(["run", RECIPE, "--out", OUT]);
    command.args(["--set", &format!("teacher.plugin={}", plugin.display())]);
    command.args(["--set", &format!("teacher.sha256=\"{sha256}\"")]);
    run(command.args(more))?;
    eprintln!("\nThe report: {}", workspace.root().join(OUT).join("report.html").display());
    Ok(())
}
