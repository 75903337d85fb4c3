//! The policies that Limbeck ships, built for the tests that run them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of `policies/<name>`, or of `tests/hostile-policy` by the name `hostile`.
pub fn component(name: &str) -> PathBuf {
    built().join(format!("limbeck_policy_{}.wasm", name.replace('-', "_")))
}

/// The folder of all components, built now if they aren't up to date: never old ones, never none.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ is in the workspace");
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(root).args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"]);
        build.args(["--package", "limbeck-policy-hostile"]);
        for entry in std::fs::read_dir(root.join("policies")).expect("policies/ is there") {
            let name = entry.expect("a folder").file_name().into_string().expect("a plain name");
            build.args(["--package", &format!("limbeck-policy-{name}")]);
        }
        assert!(build.status().expect("cargo runs").success(), "the policies don't build");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        target.join("wasm32-wasip2/release")
    })
}
