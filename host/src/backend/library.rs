//! From a path to a shared library in this process: read once, hash, compare, load exactly these bytes, never unload.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::kind;
use crate::run_dir::sha256_bytes;
use crate::{Error, Result};

/// The bytes of a plugin's file, read once: what is hashed is what is loaded, whatever happens to the file meanwhile.
pub(super) struct PluginFile {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: String,
}

impl PluginFile {
    /// Reads a shared library. Fails as wrong input on a relative path (which the loader would look up elsewhere), a
    /// missing file, and anything that is no shared library for this machine.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        if !path.is_absolute() {
            return Err(Error::input(format!(
                "plugin `{shown}` is not an absolute path: name the file, not a library"
            )));
        }
        let kind = std::fs::metadata(path).map_err(|why| {
            let remedy = if why.kind() == ErrorKind::NotFound {
                ": `limbeck backend list FOLDER` names those in a folder"
            } else {
                ""
            };
            Error::input(format!("plugin `{shown}`: {why}{remedy}"))
        })?;
        if !kind.is_file() {
            return Err(Error::input(format!("plugin `{shown}` is not a file: name the shared library itself")));
        }
        let bytes = std::fs::read(path).map_err(|why| Error::input(format!("plugin `{shown}`: {why}")))?;
        kind::require_shared_library(&bytes).map_err(|why| Error::input(format!("plugin `{shown}` {why}")))?;
        let sha256 = sha256_bytes(&bytes);
        Ok(Self { path: path.into(), bytes, sha256 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Fails unless the file has the hash `pin`, or has none to have and the recipe allows that.
    pub(super) fn require_pin(&self, pin: Option<&str>, allow_unpinned: bool) -> Result<()> {
        let shown = self.path.display();
        match pin {
            Some(pin) if pin.eq_ignore_ascii_case(&self.sha256) => Ok(()),
            Some(pin) => Err(Error::input(format!(
                "plugin `{shown}` is not the file that the recipe pins\n  expected sha256 {pin}\n  found    sha256 {}\n\
                 if you trust this file, put the second hash into the recipe",
                self.sha256
            ))),
            None if allow_unpinned => Ok(()),
            None => Err(Error::input(format!(
                "plugin `{shown}` is not pinned: write `sha256 = \"{}\"` beside it, or `allow-unpinned = true`",
                self.sha256
            ))),
        }
    }

    /// Loads these bytes, or finds the library that they became earlier. Runs the library's initialisers.
    pub(super) fn load(&self) -> Result<&'static Library> {
        static LOADED: Mutex<BTreeMap<String, &'static Loaded>> = Mutex::new(BTreeMap::new());
        let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = loaded.get(&self.sha256) {
            return Ok(&known.library);
        }
        let library = self.open().map_err(|why| {
            let shown = self.path.display().to_string();
            // The loader begins with the name of the file.
            let why = why.replace(&format!("{shown}: "), "");
            Error::input(format!("plugin `{shown}`: {why}{}", remedy(&why)))
        })?;
        // Leaked on purpose: Rust libraries with thread-locals can't be unloaded.
        let library: &'static Loaded = Box::leak(Box::new(library));
        loaded.insert(self.sha256.clone(), library);
        Ok(&library.library)
    }

    fn open(&self) -> std::result::Result<Loaded, String> {
        let copy = self.private_copy().map_err(|why| {
            let folder = std::env::temp_dir();
            format!(
                "can't make a private copy to load in `{}` ({why}); free some space there or set TMPDIR",
                folder.display()
            )
        })?;
        // libloading's own default is lazy: a missing function would end the process in the middle of a run.
        let flags = RTLD_NOW | RTLD_LOCAL | no_delete();
        // SAFETY: loading runs the initialisers of code that the user named and, by its hash or `allow-unpinned`,
        // trusts. The path is absolute, so no search takes place, and the bytes behind it can't change.
        let library = unsafe { Library::open(Some(&copy.path()), flags) };
        match library {
            Ok(library) => Ok(Loaded { library, _copy: copy }),
            Err(why) => {
                // The loader's own words stand behind libloading's.
                let message = std::error::Error::source(&why).map_or_else(|| why.to_string(), ToString::to_string);
                Err(copy.rename(&message, &self.path))
            }
        }
    }

    fn private_copy(&self) -> std::io::Result<PrivateCopy> {
        // Some kernels are set to refuse executable memory files; a temporary file does as well there.
        self.memory_file().map(PrivateCopy::Memory).or_else(|_| {
            let mut file = tempfile::NamedTempFile::new()?;
            file.write_all(&self.bytes)?;
            Ok(PrivateCopy::Temporary(file))
        })
    }

    #[cfg(target_os = "linux")]
    fn memory_file(&self) -> std::io::Result<File> {
        use memfd::{FileSeal, MemfdOptions};
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let memory = MemfdOptions::new().allow_sealing(true).create(name).map_err(std::io::Error::other)?;
        memory.as_file().write_all(&self.bytes)?;
        let seals = [FileSeal::SealWrite, FileSeal::SealShrink, FileSeal::SealGrow, FileSeal::SealSeal];
        memory.add_seals(&seals).map_err(std::io::Error::other)?;
        Ok(memory.into_file())
    }

    #[cfg(not(target_os = "linux"))]
    fn memory_file(&self) -> std::io::Result<File> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// A library and the file it was loaded from, kept until the process ends: the loader knows libraries by name, so a
/// descriptor used again for another plugin would give the first one.
struct Loaded {
    library: Library,
    _copy: PrivateCopy,
}

enum PrivateCopy {
    /// A sealed memory file.
    Memory(File),
    /// A file that only this user may read or write.
    Temporary(tempfile::NamedTempFile),
}

impl PrivateCopy {
    fn path(&self) -> PathBuf {
        match self {
            Self::Memory(file) => format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
            Self::Temporary(file) => file.path().into(),
        }
    }

    /// The loader's message with the user's name for the file.
    fn rename(&self, message: &str, original: &Path) -> String {
        message.replace(&*self.path().to_string_lossy(), &original.to_string_lossy())
    }
}

/// What helps against what the loader says.
fn remedy(why: &str) -> &'static str {
    if why.contains("position-independent executable") {
        ": it is a program, link it with `-shared`"
    } else if why.contains("libcuda.so") {
        ": it was built for CUDA: install NVIDIA's driver, or build it without `--features cuda`"
    } else if why.contains("cannot open shared object file") {
        ": the plugin needs this library: install it, or name its folder in LD_LIBRARY_PATH"
    } else {
        ""
    }
}

#[cfg(target_os = "linux")]
fn no_delete() -> i32 {
    // <dlfcn.h> of glibc and musl; libloading has no name for it.
    0x1000
}

#[cfg(not(target_os = "linux"))]
fn no_delete() -> i32 {
    0x80
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A library whose `value` returns `number`.
    fn compile(number: u32, library: &Path) {
        let source = library.with_extension("c");
        std::fs::write(&source, format!("int value(void) {{ return {number}; }}")).unwrap();
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([library, &source]).status();
        assert!(compiled.expect("this test needs a C compiler `cc`").success());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_library_that_a_plugin_misses_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (needed, part) in [("libcuda.so.none", "install NVIDIA's driver"), ("libelse.so", "LD_LIBRARY_PATH")] {
            let [needs, plugin] = [needed, "plugin.so"].map(|name| folder.path().join(name));
            compile(1, &needs);
            std::fs::write(folder.path().join("p.c"), "int value(void); int other(void) { return value(); }").unwrap();
            let mut linked = Command::new("cc");
            linked.args(["-shared", "-fPIC", "-o"]).args([&plugin, &folder.path().join("p.c")]);
            // By this name it is looked for, where it isn't.
            let name = format!("-Wl,-soname,{needed}");
            let mut named = Command::new("cc");
            named.args(["-shared", "-fPIC", name.as_str(), "-o"]).arg(&needs).arg(needs.with_extension("c"));
            assert!(named.status().unwrap().success() && linked.arg(&needs).status().unwrap().success());
            std::fs::remove_file(&needs).unwrap();
            let message = PluginFile::read(&plugin).unwrap().load().err().unwrap().to_string();
            assert!(message.contains(needed) && message.contains(part), "{message}");
        }
    }

    #[test]
    fn what_was_hashed_is_loaded_when_the_file_changes_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let [pinned, other, link] = ["pinned.so", "other.so", "link.so"].map(|name| folder.path().join(name));
        compile(1, &pinned);
        compile(2, &other);
        std::os::unix::fs::symlink(&pinned, &link).unwrap();
        let file = PluginFile::read(&link).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        std::fs::write(&pinned, "gone").unwrap();

        file.require_pin(Some(file.sha256()), false).unwrap();
        let library = file.load().unwrap();
        // SAFETY: the function has the type that it was compiled with.
        let value = unsafe { library.get::<extern "C" fn() -> i32>(b"value") }.unwrap();
        assert_eq!(value(), 1);
    }
}
