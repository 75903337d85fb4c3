//! The shared libraries in a folder, told apart without running any of their code.

use std::path::{Path, PathBuf};

use limbeck_backend::abi::QUERY_SYMBOL;
use serde::Serialize;

use super::kind::require_shared_library;
use crate::run_dir::sha256_bytes;
use crate::{Error, Result};

/// A file that could be a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: String,
    /// Why it is no plugin for this machine; `None` where it looks like one.
    pub unfit: Option<String>,
}

/// Every file of a folder that is a shared library or is named like one, by name. Only looked at: loading a library
/// runs its code, and what a plugin says about itself is for [`super::inspect`].
pub fn list(folder: &Path) -> Result<Vec<Listed>> {
    let unreadable = |why: std::io::Error| {
        Error::input(format!("can't list `{}`: {why}: name a folder with plugins", folder.display()))
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let bytes = fs_err::read(&path)?;
        let kind = require_shared_library(&bytes);
        let named = path.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION);
        if kind.is_err() && !named {
            continue;
        }
        let unfit = kind.err().or_else(|| no_query(&bytes));
        found.push(Listed { path, bytes: bytes.len() as u64, sha256: sha256_bytes(&bytes), unfit });
    }
    Ok(found)
}

/// A plugin exports the query function, so its name is in the table of strings.
fn no_query(bytes: &[u8]) -> Option<String> {
    let name = QUERY_SYMBOL.as_bytes();
    let there = bytes.windows(name.len() + 1).any(|window| window.ends_with(b"\0") && window.starts_with(name));
    (!there).then(|| format!("is a shared library without `{QUERY_SYMBOL}`"))
}
