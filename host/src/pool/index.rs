//! `index.json`: which shards of a round are finished, and what their bytes were.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::run_dir::{RunDir, sha256_bytes};
use crate::{Error, Result};

const REMEDY: &str = "delete it and run again, it will be drawn again";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    pub(super) shards: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) samples: usize,
    pub(super) sha256: String,
}

impl Index {
    /// The index of the round in `dir`; `None` when nothing was finished yet.
    pub(super) fn read(run: &RunDir, dir: &str) -> Result<Option<Self>> {
        run.read_json(&format!("{dir}/index.json"))
    }

    pub(super) fn write(&self, run: &RunDir, dir: &str) -> Result<()> {
        run.write_json(&format!("{dir}/index.json"), self)
    }

    /// That the names are plain file names, and that `folder` has no shard besides them.
    pub(super) fn check_names(&self, folder: &Path) -> Result<()> {
        if let Some(name) = self.shards.keys().find(|name| !is_shard_name(name)) {
            let path = folder.join("index.json");
            return Err(Error::input(format!("`{}`: `{name}` is not the name of a shard", path.display())));
        }
        for entry in fs_err::read_dir(folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".tar") && !self.shards.contains_key(&*name) {
                let path = folder.join(&*name);
                return Err(Error::input(format!("`{}` is not in index.json: {REMEDY}", path.display())));
            }
        }
        Ok(())
    }
}

impl Entry {
    /// The bytes of the shard, if they are those that were written.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>> {
        let refuse = |reason: String| Error::input(format!("`{}` {reason}: {REMEDY}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| refuse(format!("can't be read ({error})")))?;
        let found = sha256_bytes(&bytes);
        if found == self.sha256 {
            return Ok(bytes);
        }
        // The hash says that it is damaged; reading it says where, if the damage is in its structure.
        let place = super::shard::decode(&path.display().to_string(), &bytes, self.samples).err();
        Err(match place {
            Some(error) => error,
            None => refuse(format!("has changed since it was written (its SHA-256 is {found}, not {})", self.sha256)),
        })
    }
}

fn is_shard_name(name: &str) -> bool {
    name.strip_suffix(".tar").is_some_and(|stem| !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()))
}
