//! Builds host, plugins and policies, and puts what recipes name into `dist/`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::shell::{Workspace, run};

const WASM: &str = "wasm32-wasip2";

/// What was put where.
pub struct Dist {
    folder: PathBuf,
}

impl Dist {
    /// The path of a plugin by the name of its folder, such as `candle-classifier`.
    pub fn plugin(&self, folder: &str) -> PathBuf {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        self.folder.join("plugins").join(format!("{prefix}{}{suffix}", folder.replace('-', "_")))
    }

    fn policy(&self, folder: &str) -> PathBuf {
        self.folder.join("policies").join(format!("{folder}.wasm"))
    }
}

/// Builds everything, optimised. `more` are arguments of `cargo build` for host and plugins.
pub fn build(workspace: &Workspace, more: &[String]) -> Result<Dist> {
    let dist = Dist { folder: workspace.root().join("dist") };
    ensure_wasm_target()?;
    // The whole workspace at once, so that tests later find every dependency built with the same features.
    run(workspace.cargo(["build", "--release", "--workspace"]).args(more))?;
    rust_plugins(workspace, &dist)?;
    c_plugins(workspace, &dist)?;
    policies(workspace, &dist)?;
    Ok(dist)
}

/// Adds the WebAssembly target where rustup has not done so from rust-toolchain.toml.
fn ensure_wasm_target() -> Result<()> {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", WASM]).output();
    let output = output.context("can't run rustc: install Rust from https://rustup.rs")?;
    if Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir() {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add", WASM]))
        .context("policies need the target wasm32-wasip2: `rustup target add wasm32-wasip2`")
}

fn rust_plugins(workspace: &Workspace, dist: &Dist) -> Result<()> {
    for package in workspace.members_in("plugins") {
        let (Some(library), Some(folder)) = (package.cdylib(), package.folder()) else { continue };
        let file = format!("{}{library}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        put(&workspace.target().join("release").join(file), &dist.plugin(&folder.to_string_lossy()))?;
    }
    Ok(())
}

/// Each folder of `plugins/` with C files and no Cargo.toml becomes one library.
fn c_plugins(workspace: &Workspace, dist: &Dist) -> Result<()> {
    let mut folders: Vec<_> =
        fs::read_dir(workspace.root().join("plugins"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.is_dir() && !folder.join("Cargo.toml").exists()) {
        let sources = files_with_extension(folder, "c")?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if sources.is_empty() {
            continue;
        }
        let built = workspace.target().join("release").join(format!("c-plugin-{name}"));
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-std=c11", "-shared", "-fPIC", "-O3", "-Wall", "-Wextra", "-Werror", "-I"]);
        command.arg(workspace.root().join("plugin-api/backend/include"));
        command.arg("-o").arg(&built).args(&sources).arg("-lm");
        run(&mut command).with_context(|| format!("plugin `{name}` needs a C compiler: install one, or set CC"))?;
        put(&built, &dist.plugin(&name))?;
    }
    Ok(())
}

fn files_with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(extension)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn policies(workspace: &Workspace, dist: &Dist) -> Result<()> {
    let packages = workspace.members_in("policies");
    if packages.is_empty() {
        return Ok(());
    }
    let mut arguments = vec!["build", "--release", "--target", WASM];
    arguments.extend(packages.iter().flat_map(|package| ["--package", &package.name]));
    // Debug information is most of a component, and the host compiles what it is given at every start.
    run(workspace.cargo(arguments).env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"))?;
    for package in packages {
        let (Some(library), Some(folder)) = (package.cdylib(), package.folder()) else {
            bail!("policy `{}` makes no component: its Cargo.toml needs `crate-type = [\"cdylib\"]`", package.name);
        };
        let built = workspace.target().join(WASM).join("release").join(format!("{library}.wasm"));
        put(&built, &dist.policy(&folder.to_string_lossy()))?;
    }
    Ok(())
}

/// Copies a file by renaming a finished copy, and only if it differs: a running program may have the old one mapped.
fn put(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let temporary = to.with_extension("tmp");
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, to)?;
    eprintln!("  put {}", to.display());
    Ok(())
}
