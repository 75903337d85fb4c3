//! Building plugins and opening them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::{Device, Tensor};
use limbeck::Error;
use limbeck::backend::{Classifier, open_classifier};
use limbeck::device::DeviceName;
use limbeck::plan::PluginPlan;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The CPU, and the first CUDA device where one is compiled in and present.
pub fn devices() -> Vec<Device> {
    std::iter::once(Device::Cpu).chain(DeviceName::Cuda(0).open().ok()).collect()
}

/// Compiles a plugin in C with the published header and nothing else.
#[track_caller]
pub fn compile(source: &Path, defines: &[(&str, &str)], library: &Path) {
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O3", "-Wall", "-Wextra", "-Werror", "-I"]);
    compiler.arg(root().join("plugin-api/backend/include"));
    compiler.args(defines.iter().map(|(name, body)| format!("-D{name}={body}")));
    let compiled = compiler.arg("-o").args([library, source]).output().expect("these tests need a C compiler `cc`");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

/// The dynamic library that cargo built of a crate that these tests depend on.
pub fn built_library(crate_name: &str) -> PathBuf {
    let name = format!("{}{crate_name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    std::env::current_exe().unwrap().with_file_name(name)
}

/// A `hostile.c` with other bodies, in a folder that goes with it.
pub struct Hostile {
    folder: tempfile::TempDir,
}

impl Hostile {
    #[track_caller]
    pub fn new(defines: &[(&str, &str)]) -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        compile(&root().join("host/tests/backends/hostile.c"), defines, &made.path());
        made
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("libhostile.so")
    }

    pub fn open(&self) -> Result<Box<dyn Classifier>, Error> {
        open_classifier(&plan(&self.path()), &Device::Cpu)
    }
}

/// A plan that trusts whatever is at `plugin`.
pub fn plan(plugin: &Path) -> PluginPlan {
    PluginPlan {
        plugin: plugin.into(),
        sha256: None,
        allow_unpinned: true,
        weights: None,
        config: serde_json::Value::Null,
    }
}

/// `rows` images of the size that `hostile.c` takes.
pub fn images(rows: usize) -> Tensor {
    Tensor::full(0.5f32, (rows, 1, 2, 2), &Device::Cpu).unwrap()
}

pub fn logits(teacher: &dyn Classifier, images: &Tensor) -> Result<Vec<Vec<f32>>, Error> {
    Ok(teacher.classify(images)?.logits.to_vec2().unwrap())
}

/// The program, run in the root of the repository.
pub fn limbeck(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_limbeck")).args(arguments).current_dir(root()).output().expect("limbeck starts")
}
