//! Calls the tools of the language, and says what is missing.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;

use super::Language;
use crate::{Error, Result};

const WASM: &str = "wasm32-wasip2";
/// Without a toolchain there are neither policies in Rust nor linkers for those in C.
const RUST: &str = "this needs Rust with the target wasm32-wasip2: install https://rustup.rs, then run `rustup target add \
                    wasm32-wasip2`";

/// Builds the policy in `folder`, and puts its component as `NAME.wasm` into the folder `into`, where NAME is that of the
/// folder. What the tools say goes to stderr. Fails in words where a tool is missing or fails.
pub fn build(folder: &Path, into: &Path) -> Result<PathBuf> {
    let language = Language::of(folder)?;
    let folder = fs::canonicalize(folder).map_err(|error| Error::input(error.to_string()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let component = match language {
        Language::Rust => rust(&folder)?,
        Language::C => c(&folder)?,
        Language::JavaScript => javascript(&folder)?,
        Language::Python => python(&folder)?,
    };
    put(&component, &into.join(format!("{name}.wasm")))
}

fn rust(folder: &Path) -> Result<Vec<u8>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--target", WASM, "--message-format", "json-render-diagnostics"]);
    let said = run(cargo.current_dir(folder), RUST)?;
    let said = String::from_utf8_lossy(&said);
    // The package itself is compiled last.
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut files = artifacts.filter(|message| message["reason"] == "compiler-artifact").flat_map(|message| {
        message["filenames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|file| file.as_str().map(PathBuf::from))
            .collect::<Vec<_>>()
    });
    let component = files.rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    let component = component.ok_or_else(|| {
        Error::input(format!(
            "`{}` makes no component: its Cargo.toml needs `crate-type = [\"cdylib\"]`",
            folder.display()
        ))
    })?;
    read(&component)
}

/// The linker that makes a component comes with Rust's target.
fn c(folder: &Path) -> Result<Vec<u8>> {
    const REMEDY: &str = "policies in C need a clang that knows wasm32: install clang (macOS: `brew install llvm`), or name \
                          one in the variable CLANG";
    let scratch = tempfile::tempdir()?;
    let mut objects = Vec::new();
    for source in sources(folder, "c")? {
        let object = scratch.path().join(format!("{}.o", objects.len()));
        let mut clang = Command::new(std::env::var_os("CLANG").unwrap_or_else(|| "clang".into()));
        clang.args(["--target=wasm32", "-std=c11", "-O2", "-Wall", "-Wextra", "-ffreestanding", "-c"]);
        run(clang.current_dir(folder).arg(source).arg("-o").arg(&object), REMEDY)?;
        objects.push(object);
    }
    let tools = rust_tools()?;
    let exe = std::env::consts::EXE_SUFFIX;
    let component = scratch.path().join("policy.wasm");
    let mut link = Command::new(tools.join(format!("wasm-component-ld{exe}")));
    link.arg("--wasm-ld-path").arg(tools.join(format!("gcc-ld/wasm-ld{exe}")));
    link.args(["--wasi-adapter", "none", "--component-type", "wit", "--no-entry", "--strip-debug"]);
    let remedy = format!("{RUST}; where a role is missing, compare `wit/world.wit` with what policy.c exports");
    run(link.current_dir(folder).args(objects).arg("-o").arg(&component), &remedy)?;
    read(&component)
}

/// Where the Rust toolchain keeps its linkers.
fn rust_tools() -> Result<PathBuf> {
    let library = run(Command::new("rustc").args(["--print", "target-libdir"]), RUST)?;
    Ok(Path::new(String::from_utf8_lossy(&library).trim()).with_file_name("bin"))
}

fn javascript(folder: &Path) -> Result<Vec<u8>> {
    if !folder.join("node_modules/@bytecodealliance/componentize-js").is_dir() {
        let folder = folder.display();
        return Err(Error::input(format!(
            "componentize-js is not in `{folder}/node_modules`: run `npm install` in `{folder}` (Node.js 20 or newer)"
        )));
    }
    const REMEDY: &str = "policies in JavaScript need Node.js 20 or newer with npm: install https://nodejs.org";
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let scratch = tempfile::tempdir()?;
    let component = scratch.path().join("policy.wasm");
    let mut build = Command::new(npm);
    build.args(["run", "--silent", "build", "--", "--out"]).arg(&component);
    run(build.current_dir(folder), REMEDY)?;
    read(&component)
}

fn python(folder: &Path) -> Result<Vec<u8>> {
    const REMEDY: &str = "policies in Python need componentize-py: run `python3 -m venv .venv` and `.venv/bin/pip install -r \
                          requirements.txt` in their folder (Python 3.10 or newer)";
    let own =
        folder.join(if cfg!(windows) { ".venv/Scripts/componentize-py.exe" } else { ".venv/bin/componentize-py" });
    let tool = if own.is_file() { own.into_os_string() } else { OsString::from("componentize-py") };
    let scratch = tempfile::tempdir()?;
    let component = scratch.path().join("policy.wasm");
    let mut build = Command::new(tool);
    build.args(["--quiet", "--wit-path", "wit", "componentize", "policy", "--output"]).arg(&component);
    run(build.current_dir(folder), REMEDY)?;
    read(&component)
}

/// What the command wrote to stdout; its stderr is shown as it comes.
fn run(command: &mut Command, remedy: &str) -> Result<Vec<u8>> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    match output {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => Err(Error::input(format!("`{tool}` failed ({}): see above; {remedy}", output.status))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::input(format!("`{tool}` is not here: {remedy}")))
        }
        Err(error) => Err(Error::input(format!("can't run `{tool}`: {error}"))),
    }
}

fn sources(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| Error::failed(error.to_string()))
}

/// Whole or not at all: a run may be reading the old one.
fn put(component: &[u8], to: &Path) -> Result<PathBuf> {
    let parent = to.parent().unwrap_or(Path::new(""));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(parent)?;
        let temporary = to.with_extension("tmp");
        fs::write(&temporary, component)?;
        fs::rename(&temporary, to)
    };
    write().map_err(|error| Error::input(error.to_string()))?;
    Ok(to.to_owned())
}
