//! What is in a WebDataset shard, a tar archive: where each image begins, and its class.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::{Item, LeftOut, SourceError, is_image, shown, unreadable};

/// Bytes of a header, and what files in a shard are filled up to a multiple of.
const BLOCK: u64 = 512;

/// The image and the class of a sample, as far as they were met.
#[derive(Default)]
struct Parts {
    /// Its place and its length.
    image: Option<(u64, u64)>,
    class: Option<u32>,
}

/// The samples of one shard, in the order in which their images lie in it; those without an image are `others`.
pub(super) fn index(path: &Path, file: usize, classes: usize, others: &mut LeftOut) -> Result<Vec<Item>, SourceError> {
    let failed = |source| unreadable(path, source);
    let shard = File::open(path).map_err(failed)?;
    let length = shard.metadata().map_err(failed)?.len();
    let mut archive = tar::Archive::new(shard);
    let mut samples: BTreeMap<String, Parts> = BTreeMap::new();
    // Where the next header is.
    let mut next = 0;
    for entry in archive.entries_with_seek().map_err(failed)? {
        let mut entry = entry.map_err(|source| damaged(path, next, length, &source))?;
        next = entry.raw_file_position().saturating_add(entry.size()).div_ceil(BLOCK).saturating_mul(BLOCK);
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let bad = |key: &str, reason: String| SourceError::Sample { file: shown(path), key: key.into(), reason };
        let (key, kind) = split(&name);
        let parts = samples.entry(key.to_owned()).or_default();
        if is_image(Some(kind)) {
            if parts.image.is_some() {
                return Err(bad(key, "it has two images".into()));
            }
            let (offset, bytes) = (entry.raw_file_position(), entry.size());
            // Memory for it will be taken by this size.
            if offset.checked_add(bytes).is_none_or(|end| end > length) {
                return Err(bad(key, format!("`{name}` claims {bytes} bytes and reaches beyond the end of the file")));
            }
            parts.image = Some((offset, bytes));
        } else if kind.eq_ignore_ascii_case("cls") {
            let mut text = String::new();
            entry.by_ref().take(32).read_to_string(&mut text).map_err(failed)?;
            let class = text.trim().parse::<u32>().ok().filter(|&class| (class as usize) < classes);
            let reason = || format!("`{name}` holds `{}`, not a class below {classes}", text.trim());
            parts.class = Some(class.ok_or_else(|| bad(key, reason()))?);
        }
    }
    let mut items = Vec::new();
    for (key, parts) in samples {
        let Some((offset, bytes)) = parts.image else {
            if parts.class.is_some() {
                others.add(|| format!("`{}`, sample `{key}`", shown(path)));
            }
            continue;
        };
        let reason = || format!("it has an image but no `{key}.cls`");
        let missing = || SourceError::Sample { file: shown(path), key: key.clone(), reason: reason() };
        let class = parts.class.ok_or_else(missing)?;
        items.push(Item { file, offset, bytes, key: Some(key), class });
    }
    items.sort_by_key(|item| item.offset);
    Ok(items)
}

/// A shard whose header at `offset` can't be read.
fn damaged(path: &Path, offset: u64, length: u64, source: &std::io::Error) -> SourceError {
    let reason = match length.saturating_sub(offset) {
        left @ 0..BLOCK => format!("{left} bytes are left where a header of {BLOCK} begins, the shard is truncated"),
        _ => source.to_string(),
    };
    SourceError::Damaged { file: shown(path), offset, reason }
}

/// Key and kind of a file in a shard: what is before and after the first point of its last part.
fn split(name: &str) -> (&str, &str) {
    let start = name.rfind('/').map_or(0, |at| at + 1);
    match name[start..].find('.') {
        Some(at) => (&name[..start + at], &name[start + at + 1..]),
        None => (name, ""),
    }
}
