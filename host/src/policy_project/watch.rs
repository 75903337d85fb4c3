//! Waits for the sources of a policy to change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Folders that tools fill, and that hold no source.
const FILLED: [&str; 5] = ["target", "node_modules", "dist", "__pycache__", "runs"];

/// The sources of a policy as they were.
pub struct Watch {
    folder: PathBuf,
    seen: BTreeMap<PathBuf, Option<SystemTime>>,
}

impl Watch {
    /// Remembers how the sources are now.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), seen: stamps(folder) }
    }

    /// Returns when a source was changed, added or removed since the last look, and all have been quiet for a moment:
    /// editors write in several steps.
    pub fn wait(&mut self) {
        let mut changed = false;
        loop {
            std::thread::sleep(INTERVAL);
            let now = stamps(&self.folder);
            match (now == self.seen, changed) {
                (true, true) => return,
                (true, false) => {}
                (false, _) => changed = true,
            }
            self.seen = now;
        }
    }
}

/// The times of all sources. A file that goes away while it is looked at has none.
fn stamps(folder: &Path) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let mut stamps = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if name.starts_with('.') || FILLED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            stamps.extend(self::stamps(&path));
        } else if !name.ends_with('~') && name != "Cargo.lock" && name != "package-lock.json" {
            stamps.insert(path, entry.metadata().and_then(|metadata| metadata.modified()).ok());
        }
    }
    stamps
}
