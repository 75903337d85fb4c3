//! `limbeck backend`: looks at plugins.

use std::path::Path;

use limbeck::backend::inspect;
use limbeck::progress::Progress;
use limbeck::{Error, Result};

/// Prints what a recipe needs to name a plugin: its manifest and its hash.
pub fn show(file: &Path, progress: &Progress) -> Result<()> {
    let inspection = inspect(file)?;
    let text = serde_json::to_string_pretty(&inspection).map_err(|error| Error::failed(error.to_string()))?;
    progress.data(text);
    Ok(())
}
