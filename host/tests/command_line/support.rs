//! A folder with a recipe and everything that it names, and the program run in it.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The smallest recipe, of which tests change one line.
pub const RECIPE: &str = r#"[run]
name = "trial"

[data]
format = "idx"
classes = 10
test = { images = "test-images", labels = "test-labels" }

[generator]
weights = "dit.safetensors"

[synth]
images = 40
guidance = 2.0
steps = 5

[teacher]
plugin = "libteacher.so"
allow-unpinned = true

[select]
policy = "filter.wasm"

[distill]
student = "lenet5"
epochs = 2
"#;

/// A folder in which the program runs.
pub struct Place {
    dir: TempDir,
}

impl Place {
    /// With a recipe and files that look right from their first bytes.
    pub fn new() -> Self {
        let place = Self { dir: TempDir::new().expect("a temporary folder") };
        place.put("recipe.toml", RECIPE);
        place.put("test-images", "images");
        place.put("test-labels", "labels");
        place.put("dit.safetensors", b"\x02\0\0\0\0\0\0\0{}");
        place.put("libteacher.so", b"\x7fELF");
        place.put("filter.wasm", b"\0asm\x0d\0\x01\0");
        place
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).expect("a file in a temporary folder");
    }

    /// The recipe with `from` replaced by `to`.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        assert!(RECIPE.contains(from), "the recipe has no {from:?}");
        self.put("recipe.toml", RECIPE.replacen(from, to, 1));
    }

    /// What the user reads. Nothing may be left behind but what was there.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        self.refused_by(Command::new(env!("CARGO_BIN_EXE_limbeck")).args(arguments))
    }

    #[track_caller]
    pub fn refused_by(&self, command: &mut Command) -> String {
        let before = self.names();
        let output = command.current_dir(self.path()).output().expect("the program runs");
        assert_eq!(self.names(), before, "something was left behind");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "stdout is for data");
        self.shown(&output)
    }

    /// Exit code and stderr, without the name of the temporary folder.
    fn shown(&self, output: &Output) -> String {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let real = self.path().canonicalize().expect("it is there").display().to_string();
        let stderr = stderr.replace(&real, "[dir]").replace(&self.path().display().to_string(), "[dir]");
        format!("exit {}: {}", output.status.code().unwrap_or(-1), stderr.trim_end())
    }

    /// Every file and folder in the place.
    fn names(&self) -> Vec<String> {
        fn walk(folder: &Path, names: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                names.push(entry.path().display().to_string());
                if entry.path().is_dir() {
                    walk(&entry.path(), names);
                }
            }
        }
        let mut names = Vec::new();
        walk(self.path(), &mut names);
        names.sort();
        names
    }
}
