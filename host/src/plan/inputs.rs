//! The files that a recipe names: made absolute, looked at, and hashed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use super::Input;
use super::magic::{Kind, Magic, mismatch};
use crate::hash::{sha256_bytes, sha256_file};
use crate::{Error, Result};

/// Collects the inputs of a plan, by key.
pub(super) struct Inputs {
    base: PathBuf,
    found: BTreeMap<String, Input>,
}

impl Inputs {
    /// `base` is the folder of the recipe.
    pub fn new(base: &Path) -> Result<Self> {
        let shown = base.display();
        // An empty path is how `Path::parent` names the current folder.
        let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        let base =
            base.canonicalize().map_err(|error| Error::input(format!("can't open folder `{shown}`: {error}")))?;
        Ok(Self { base, found: BTreeMap::new() })
    }

    /// The absolute path of what `key` names, after checking that it is there and of this kind.
    pub fn add(&mut self, key: &str, path: &Path, kind: Kind) -> Result<PathBuf> {
        let path = clean(&self.base.join(path));
        let (sha256, bytes) = look(key, &path, kind)?;
        self.found.insert(key.to_owned(), Input { path: path.clone(), sha256, bytes });
        Ok(path)
    }

    /// The absolute path of what the run itself will make.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        clean(&self.base.join(path))
    }

    /// The hash of what was added as `key`.
    pub fn sha256(&self, key: &str) -> Option<&str> {
        self.found.get(key).map(|input| input.sha256.as_str())
    }

    pub fn into_map(self) -> BTreeMap<String, Input> {
        self.found
    }
}

/// Fails with [`Error::Input`] where a file is no longer what it was when the plan was made.
///
/// Policies, plugins, a generator's weights and those that a training begins with are checked again as they are read. Images,
/// and weights that a plugin opens by itself, are not: who changes these in between changes the run.
pub fn verify_inputs(inputs: &BTreeMap<String, Input>) -> Result<()> {
    for (key, input) in inputs {
        let kind = if input.path.is_dir() { Kind::Folder } else { Kind::File };
        if !input.path.exists() {
            return Err(Error::input(format!(
                "`{key}`: no file `{}`: put it back, or change the path wherever the plan has it",
                input.path.display()
            )));
        }
        let (sha256, _) = look(key, &input.path, kind)?;
        if sha256 != input.sha256 {
            return Err(Error::input(format!(
                "`{key}`: `{}` has changed since the run was planned: put the old file back, or start another run",
                input.path.display()
            )));
        }
    }
    Ok(())
}

/// Takes out `.` and `..` as the system would: what is before a `..` may be a link to elsewhere. Other links stay.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean = clean.canonicalize().unwrap_or(clean);
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// The hash and the size of what is at `path`.
fn look(key: &str, path: &Path, kind: Kind) -> Result<(String, u64)> {
    if kind == Kind::Folder { folder(key, path) } else { file(key, path, kind) }
}

fn file(key: &str, path: &Path, kind: Kind) -> Result<(String, u64)> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Error::input(format!("`{key}`: `{shown}` is a folder, not a file")));
    }
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::input(format!("`{key}`: no file `{shown}`: {}", remedy(kind))),
        _ => Error::input(format!("`{key}`: can't read `{shown}`: {error}")),
    };
    let mut head = Vec::new();
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::input(format!("`{key}`: `{shown}` is no file: pipes and devices can't be read twice")));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let bytes = metadata.len();
    file.take(16).read_to_end(&mut head).map_err(unreadable)?;
    let found = Magic::of(&head, bytes);
    if let Some(complaint) = mismatch(kind, found) {
        return Err(Error::input(format!("`{key}`: `{shown}` {complaint}")));
    }
    Ok((sha256_file(path).map_err(|error| Error::input(format!("`{key}`: {error}")))?, bytes))
}

fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::Plugin | Kind::Policy => {
            "paths are relative to the recipe's folder, and what is in dist/ is built by `cargo xtask build`"
        }
        Kind::Weights | Kind::File | Kind::Folder => "paths are relative to the recipe's folder",
    }
}

/// The hash of a folder's listing, and the bytes of all its files, but for hidden ones, which no reader takes up and file
/// managers put anywhere. Contents aren't read: they may be terabytes.
fn folder(key: &str, path: &Path) -> Result<(String, u64)> {
    let shown = path.display();
    if !path.is_dir() {
        return Err(Error::input(format!("`{key}`: no folder `{shown}`: {}", remedy(Kind::Folder))));
    }
    let mut listing = Vec::new();
    let total = walk(path, "", &mut listing).map_err(|error| error.context(format_args!("`{key}`")))?;
    listing.sort_unstable();
    Ok((sha256_bytes(listing.join("\n").as_bytes()), total))
}

fn walk(folder: &Path, prefix: &str, listing: &mut Vec<String>) -> Result<u64> {
    let refuse = |path: &Path, error: std::io::Error| Error::input(format!("can't read `{}`: {error}", path.display()));
    let mut total = 0;
    for entry in std::fs::read_dir(folder).map_err(|error| refuse(folder, error))? {
        let entry = entry.map_err(|error| refuse(folder, error))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // `metadata` of the path follows links, as the reader of the images does.
        let metadata = std::fs::metadata(entry.path()).map_err(|error| refuse(&entry.path(), error))?;
        if metadata.is_dir() {
            total += walk(&entry.path(), &format!("{name}/"), listing)?;
        } else {
            listing.push(format!("{name} {}", metadata.len()));
            total += metadata.len();
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn add(kind: Kind, content: &[u8]) -> Result<PathBuf> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), content).unwrap();
        Inputs::new(dir.path()).unwrap().add("some.key", Path::new("sub/../file"), kind)
    }

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0rest";
    const CORE: &[u8] = b"\0asm\x01\0\0\0rest";

    #[test]
    fn files_of_the_right_kind_pass() {
        assert!(add(Kind::Plugin, b"\x7fELF\x02\x01").unwrap().ends_with("file"));
        add(Kind::Policy, COMPONENT).unwrap();
        add(Kind::Weights, b"\x02\0\0\0\0\0\0\0{}").unwrap();
        add(Kind::File, b"").unwrap();
    }

    #[test]
    fn files_of_the_wrong_kind_are_told_apart() {
        for (kind, content, word) in [
            (Kind::Plugin, COMPONENT, "is a WebAssembly component, a policy"),
            (Kind::Policy, b"\x7fELF", "is a dynamic library, a plugin"),
            (Kind::Policy, CORE, "core module"),
            (Kind::Policy, b"", "is empty"),
            (Kind::Weights, b"\x80\x04pickle", "is of an unknown kind"),
            (Kind::Weights, b"\xff\0\0\0\0\0\0\0{}", "is of an unknown kind"),
        ] {
            let error = add(kind, content).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    /// What is above a link is above the folder that it leads to.
    #[cfg(unix)]
    #[test]
    fn links_are_followed_upwards() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("far/away")).unwrap();
        std::os::unix::fs::symlink(at("far/away"), at("link")).unwrap();
        std::fs::write(at("far/file"), "far").unwrap();
        std::fs::write(at("file"), "near").unwrap();
        let mut inputs = Inputs::new(dir.path()).unwrap();
        let found = |inputs: &mut Inputs, path: &str| {
            std::fs::read_to_string(inputs.add("key", Path::new(path), Kind::File).unwrap()).unwrap()
        };
        assert_eq!(found(&mut inputs, "link/../file"), "far");
        assert_eq!(found(&mut inputs, "far/../file"), "near");
        assert_eq!(inputs.absolute(Path::new("new/../made")), dir.path().canonicalize().unwrap().join("made"));
    }

    #[test]
    fn folders_are_hashed_by_their_listing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/x.png"), "123").unwrap();
        let hash = || folder("k", dir.path()).unwrap();
        let before = hash();
        assert_eq!(before.1, 3);
        std::fs::write(dir.path().join("a/.DS_Store"), "hidden").unwrap();
        assert_eq!(before, hash());
        std::fs::write(dir.path().join("a/y.png"), "").unwrap();
        assert_ne!(before, hash());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("nowhere", dir.path().join("a/z.png")).unwrap();
            let message = folder("k", dir.path()).unwrap_err().to_string();
            assert!(message.contains("a/z.png`: No such file"), "{message}");
        }
    }
}
