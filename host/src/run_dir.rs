//! The run directory: the only place where stages meet. Every file is complete or absent, whenever the process dies.

use std::fs::TryLockError;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::hash::{sha256_bytes, sha256_file};
use crate::{Error, Result};

/// Bytes written before any work, to learn whether the directory takes files; into a file that has no name any more.
const PROBE_BYTES: usize = 64 << 10;
const PROBE: &str = ".probe";

/// The plan of a run, and the other files that are written before any work.
pub const PLAN: &str = "plan.toml";
const LOCK: &str = "lock";
const BEFORE_ANY_WORK: [&str; 4] = [PLAN, LOCK, ".plan.toml.tmp", PROBE];

/// A run's directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
    /// How to write another directory instead: what the command that made this one, or took it up, offers.
    elsewhere: &'static str,
}

/// For directories that a command makes, and for those that it takes up.
const BY_OUT: &str = "choose another directory with --out";
const BY_COPY: &str = "copy the directory and name the copy";

/// The right to write a run, held by one process at a time; the system takes it back when the process ends, however.
#[derive(Debug)]
pub struct RunLock {
    _file: std::fs::File,
}

impl RunDir {
    /// Makes the directory where it is missing, and checks that it takes files.
    /// Fails with [`Error::Input`] when it can't be written or is full.
    pub fn create(root: &Path) -> Result<Self> {
        Self::create_or(root, BY_OUT)
    }

    /// The same of a directory for which there is another remedy than `--out`, such as `choose another folder`.
    pub fn create_or(root: &Path, elsewhere: &'static str) -> Result<Self> {
        if root.exists() && !root.is_dir() {
            return Err(Error::input(format!("output directory `{}` is a file: {elsewhere}", root.display())));
        }
        let refuse = |error: std::io::Error| unwritable(root, &error, elsewhere);
        std::fs::create_dir_all(root).map_err(refuse)?;
        let root = std::path::absolute(root).map_err(refuse)?;
        probe(&root).map_err(|error| unwritable(&root, &error, elsewhere))?;
        Ok(Self { root, elsewhere })
    }

    /// Checks that [`RunDir::create`] would succeed, and leaves nothing behind. Also fails with [`Error::Input`] on a
    /// directory in which there is something, but no run: it is the user's.
    pub fn try_out(root: &Path) -> Result<()> {
        if let Some(name) = foreign(root) {
            return Err(Error::input(format!(
                "output directory `{}` holds other files, such as `{name}`: choose an empty or new directory with --out",
                root.display()
            )));
        }
        let missing: Vec<_> =
            root.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
        let tried = Self::create(root).map(|_| ());
        for path in missing {
            // Where another process has put something in meanwhile, it stays.
            let _ = std::fs::remove_dir(path);
        }
        tried
    }

    /// Opens the directory of an existing run, which need not take files: who writes it finds out by [`RunDir::lock`].
    pub fn open(root: &Path) -> Result<Self> {
        if !root.is_dir() {
            return Err(Error::input(format!(
                "`{}` is not a run directory: give the directory that `limbeck run` wrote",
                root.display()
            )));
        }
        let root = std::path::absolute(root).map_err(|error| unwritable(root, &error, BY_COPY))?;
        Ok(Self { root, elsewhere: BY_COPY })
    }

    /// Takes the right to write this run. Fails with [`Error::Input`] while another process holds it.
    pub fn lock(&self) -> Result<RunLock> {
        let path = self.join(LOCK);
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| self.write_error(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::input(format!(
                "another limbeck process is writing `{}`: wait for it, or {}",
                self.root.display(),
                self.elsewhere
            ))),
            // Some network file systems have no locks; the run is then the user's to keep single.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(RunLock { _file: file }),
            Err(TryLockError::Error(error)) => Err(self.write_error(&path, error)),
        }
    }

    /// Whether nothing is there yet but the plan.
    pub fn is_untouched(&self) -> bool {
        let mut names = std::fs::read_dir(&self.root).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.all(|name| BEFORE_ANY_WORK.iter().any(|ours| name == **ours))
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The absolute path of a file of the run; `rel` has `/` between its parts.
    pub fn join(&self, rel: &str) -> PathBuf {
        self.root.join(rel)
    }

    /// Writes a file so that it is there whole or not at all: temporary name, fsync, rename. Makes parent directories.
    pub fn write_atomic(&self, rel: &str, bytes: &[u8]) -> Result<()> {
        let path = self.join(rel);
        // The name of the temporary file is always the same, so that a killed process leaves at most one behind.
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().ok_or_else(|| Error::failed(format!("`{rel}` has no file name")))?);
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let parent = path.parent().unwrap_or(&self.root);
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(parent)?;
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            // The new name must be on the disk too; a directory that can't be synced (network, Windows) is no failure.
            let _ = std::fs::File::open(parent).and_then(|directory| directory.sync_all());
            Ok(())
        };
        write().map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            self.write_error(&path, error)
        })
    }

    /// Removes a file of the run where it is there.
    pub fn remove(&self, rel: &str) -> Result<()> {
        match fs_err::remove_file(self.join(rel)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Appends `line` and a line end in one write, making the file where it is missing.
    pub fn append_line(&self, rel: &str, line: &str) -> Result<()> {
        let path = self.join(rel);
        let append = || -> std::io::Result<()> {
            std::fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            let mut file = std::fs::File::options().create(true).append(true).open(&path)?;
            file.write_all(format!("{line}\n").as_bytes())
        };
        append().map_err(|error| self.write_error(&path, error))
    }

    /// Puts on the disk what was appended to a file, as [`RunDir::write_atomic`] does what it writes.
    pub fn sync(&self, rel: &str) -> Result<()> {
        let path = self.join(rel);
        match std::fs::File::open(&path).and_then(|file| file.sync_data()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.write_error(&path, error)),
            _ => Ok(()),
        }
    }

    /// Writes a value as indented JSON with a line end, atomically.
    pub fn write_json<T: Serialize>(&self, rel: &str, value: &T) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::failed(format!("{rel}: {error}")))?;
        bytes.push(b'\n');
        self.write_atomic(rel, &bytes)
    }

    /// Reads a JSON file of the run; `None` where it is absent. A damaged file is an error that names it.
    pub fn read_json<T: DeserializeOwned>(&self, rel: &str) -> Result<Option<T>> {
        let path = self.join(rel);
        let mut text = String::new();
        match fs_err::File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let parsed = serde_json::from_str(&text);
        parsed.map(Some).map_err(|error| {
            Error::input(format!(
                "`{}` is damaged ({error}): remove it, and `limbeck run` makes it anew",
                path.display()
            ))
        })
    }

    /// A failed write in words; a full or forbidden disk is the user's to repair, so that is wrong input.
    fn write_error(&self, path: &Path, error: std::io::Error) -> Error {
        use ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let shown = path.display();
        match error.kind() {
            _ if is_full(&error) => Error::input(format!(
                "can't write `{shown}`: {error}: free some space and run the same command again, it goes on from here"
            )),
            PermissionDenied | ReadOnlyFilesystem => {
                Error::input(format!("can't write `{shown}`: {error}: make it writable, or {}", self.elsewhere))
            }
            _ => Error::failed(format!("can't write `{shown}`: {error}")),
        }
    }
}

/// Something in a directory that no run has made; `None` where it has a plan, or nothing that a killed run can't have left.
fn foreign(root: &Path) -> Option<String> {
    let names = std::fs::read_dir(root).into_iter().flatten().flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if names.iter().any(|name| name == PLAN) {
        return None;
    }
    names.into_iter().filter(|name| !BEFORE_ANY_WORK.contains(&name.as_str())).min()
}

fn unwritable(root: &Path, error: &std::io::Error, elsewhere: &str) -> Error {
    let free = if is_full(error) { "free some space, or " } else { "" };
    Error::input(format!("output directory `{}` can't be written: {error}: {free}{elsewhere}", root.display()))
}

fn is_full(error: &std::io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// A process that is killed here leaves nothing, or at worst an empty file that the next one takes away.
fn probe(root: &Path) -> std::io::Result<()> {
    let path = root.join(PROBE);
    let mut file = std::fs::File::create(&path)?;
    match std::fs::remove_file(&path) {
        // Another process was quicker.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    file.write_all(&vec![0; PROBE_BYTES])?;
    file.sync_all()
}

#[cfg(test)]
#[path = "run_dir_tests.rs"]
mod tests;
