//! Where the workspace is, what is in it, and how to run cargo there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The part of `cargo metadata` that matters here.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Package {
    /// The name of its dynamic library, where it makes one.
    pub fn cdylib(&self) -> Option<&str> {
        let is_cdylib = |target: &&Target| target.kind.iter().any(|kind| kind == "cdylib");
        self.targets.iter().find(is_cdylib).map(|target| target.name.as_str())
    }

    /// The name of its folder.
    pub fn folder(&self) -> Option<&OsStr> {
        self.manifest_path.parent()?.file_name()
    }
}

pub struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    pub fn find() -> Result<Self> {
        let mut command = Command::new(cargo());
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = command.output().context("can't run cargo")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self {
            metadata: serde_json::from_slice(&output.stdout).context("can't read the answer of cargo metadata")?,
        })
    }

    pub fn root(&self) -> &Path {
        &self.metadata.workspace_root
    }

    /// Where cargo builds.
    pub fn target(&self) -> &Path {
        &self.metadata.target_directory
    }

    /// The program `limbeck`, once built.
    pub fn limbeck(&self) -> PathBuf {
        self.target().join("release").join(format!("limbeck{}", std::env::consts::EXE_SUFFIX))
    }

    /// The members below a folder such as `plugins`, by name.
    pub fn members_in(&self, folder: &str) -> Vec<&Package> {
        let parent = self.root().join(folder);
        let below = |package: &&Package| package.manifest_path.parent().and_then(Path::parent) == Some(&parent);
        let mut members: Vec<_> = self.metadata.packages.iter().filter(below).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// `cargo` in the root of the workspace.
    pub fn cargo(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(cargo());
        command.args(arguments).current_dir(self.root());
        command
    }
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Shows a command, runs it, and says how long it took. Fails when it does.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let started = Instant::now();
    let status = command.status().with_context(|| format!("can't run `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    eprintln!("  done in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}
