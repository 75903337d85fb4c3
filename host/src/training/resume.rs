//! Resume points: what a training wrote of itself while it went on, read back.

use std::path::PathBuf;

use limbeck_models::checkpoint::{self, Checkpoint};

use crate::{Error, Result};

/// A resume point and where it lies.
pub struct Resume {
    pub file: Checkpoint,
    path: PathBuf,
}

impl Resume {
    /// The resume point at `path`, if there is one.
    pub fn read(path: PathBuf) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        match checkpoint::load(&path) {
            Ok(file) => Ok(Some(Self { file, path })),
            Err(why) => Err(unusable(&path, Error::input(why.reason()))),
        }
    }

    /// A whole number that the training put into the metadata.
    pub fn number(&self, key: &str) -> Result<u64> {
        let missing = || self.unusable(Error::input(format!("it has no number `{key}`")));
        self.file.entry(key).and_then(|text| text.parse().ok()).ok_or_else(missing)
    }

    /// What goes wrong with what is in the file, with its name and the remedy.
    pub fn unusable(&self, why: Error) -> Error {
        unusable(&self.path, why)
    }
}

fn unusable(path: &std::path::Path, why: Error) -> Error {
    let shown = path.display();
    match why {
        Error::Input(why) => Error::input(format!(
            "can't go on from `{shown}`: {why}: remove it, and the same command begins this training again"
        )),
        // Memory, or a device: the file may be sound.
        other => other.context(format_args!("can't go on from `{shown}`")),
    }
}
