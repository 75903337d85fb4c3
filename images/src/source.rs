//! Where encoded images are: folders with one subfolder a class, and WebDataset shards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Channels, Pixels, decode};

/// The largest encoded image that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// Bytes of a header, and what files in a shard are filled up to a multiple of.
const BLOCK: u64 = 512;

/// How the names of images end.
const KINDS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// What is wrong with a source, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("`{file}`: can't be read: {source}")]
    Io { file: String, source: std::io::Error },
    #[error("`{file}`: {found} subfolders ({names}), but there are {classes} classes: there must be one a class")]
    Classes { file: String, found: usize, names: String, classes: usize },
    #[error("`{file}`: no image in it; images end in .jpg, .jpeg, .png or .webp")]
    Empty { file: String },
    #[error("`{file}`, byte {offset}: {reason}: copy the shard again, or leave it out")]
    Damaged { file: String, offset: u64, reason: String },
    #[error("`{file}`, sample `{key}`: {reason}: repair the shard or leave it out")]
    Sample { file: String, key: String, reason: String },
    #[error("`{file}`, image `{key}`: it {reason}: replace it or take it out")]
    Image { file: String, key: String, reason: String },
}

/// One encoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// Its file, among [`Source::files`].
    file: usize,
    offset: u64,
    bytes: u64,
    /// What it is called in its shard or folder.
    key: String,
    class: u32,
}

/// Labelled images that stay on the disk until one is asked for.
#[derive(Clone, Debug)]
pub struct Source {
    files: Vec<PathBuf>,
    items: Vec<Item>,
}

impl Source {
    /// The images in `path/<class>/`, in the order of class and file name. The classes are the subfolders sorted by name as
    /// text; hidden entries and files of other kinds are passed over.
    pub fn folder(path: &Path, classes: usize) -> Result<Self, SourceError> {
        let (mut files, mut items) = (Vec::new(), Vec::new());
        for (class, folder) in class_folders(path, classes)?.iter().enumerate() {
            for file in visible_entries(folder)?.into_iter().filter(|file| is_image(extension(&file.to_string_lossy())))
            {
                let bytes = std::fs::metadata(&file).map_err(|source| unreadable(&file, source))?.len();
                let key = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                items.push(Item { file: files.len(), offset: 0, bytes, key, class: class as u32 });
                files.push(file);
            }
        }
        Self { files, items }.not_empty(path)
    }

    /// The samples of WebDataset shards, in the order given: of each an image and `<key>.cls`, which holds its class as a
    /// number. Only the headers and the classes are read.
    pub fn shards(paths: &[PathBuf], classes: usize) -> Result<Self, SourceError> {
        let mut items = Vec::new();
        for (file, path) in paths.iter().enumerate() {
            items.extend(index(path, file, classes)?);
        }
        Self { files: paths.to_vec(), items }.not_empty(paths.first().map_or(Path::new("shards"), PathBuf::as_path))
    }

    fn not_empty(self, path: &Path) -> Result<Self, SourceError> {
        if self.items.is_empty() { Err(SourceError::Empty { file: shown(path) }) } else { Ok(self) }
    }

    /// How many images there are; at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a source is never empty")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The images at `rows`, in that order. Panics when a row is not below [`Source::len`].
    pub fn subset(&self, rows: &[usize]) -> Self {
        Self { files: self.files.clone(), items: rows.iter().map(|&row| self.items[row].clone()).collect() }
    }

    /// The class of each image.
    pub fn classes(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.class).collect()
    }

    /// Reads and decodes image `i`, which is below [`Source::len`]. The error names shard or folder, image and remedy.
    pub fn image(&self, i: usize, channels: Channels) -> Result<Pixels, SourceError> {
        let item = &self.items[i];
        let path = &self.files[item.file];
        let refuse = |reason: String| SourceError::Image { file: shown(path), key: item.key.clone(), reason };
        if item.bytes > MAX_BYTES {
            return Err(refuse(format!("has {} bytes, more than 256 MiB", item.bytes)));
        }
        let read = || {
            let mut file = File::open(path)?;
            if item.offset > 0 {
                file.seek(SeekFrom::Start(item.offset))?;
            }
            let mut bytes = vec![0; item.bytes as usize];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| unreadable(path, source))?;
        decode(&bytes, channels).map_err(|error| refuse(error.to_string()))
    }
}

/// The subfolders of `path`, one a class, sorted by name as text; hidden ones and files beside them are passed over.
pub fn class_folders(path: &Path, classes: usize) -> Result<Vec<PathBuf>, SourceError> {
    let folders: Vec<_> = visible_entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect();
    if folders.len() != classes {
        let names = folders.iter().filter_map(|folder| folder.file_name()).map(|name| name.to_string_lossy());
        let names = shortened(&names.collect::<Vec<_>>());
        return Err(SourceError::Classes { file: shown(path), found: folders.len(), names, classes });
    }
    Ok(folders)
}

/// The image and the class of a sample, as far as they were met.
#[derive(Default)]
struct Parts {
    /// Its place and its length.
    image: Option<(u64, u64)>,
    class: Option<u32>,
}

/// The samples of one shard, in the order in which their images lie in it.
fn index(path: &Path, file: usize, classes: usize) -> Result<Vec<Item>, SourceError> {
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
        let Some((offset, bytes)) = parts.image else { continue };
        let reason = || format!("it has an image but no `{key}.cls`");
        let missing = || SourceError::Sample { file: shown(path), key: key.clone(), reason: reason() };
        let class = parts.class.ok_or_else(missing)?;
        items.push(Item { file, offset, bytes, key, class });
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

fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}

fn is_image(extension: Option<&str>) -> bool {
    extension.is_some_and(|extension| KINDS.iter().any(|kind| extension.eq_ignore_ascii_case(kind)))
}

/// The first names of a list, for an error.
fn shortened(names: &[impl AsRef<str>]) -> String {
    let mut shown = names.iter().take(5).map(AsRef::as_ref).collect::<Vec<_>>();
    if names.len() > shown.len() {
        shown.push("…");
    }
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}

/// What a folder holds, without hidden entries, sorted by name.
pub fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| unreadable(folder, source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn unreadable(path: &Path, source: std::io::Error) -> SourceError {
    SourceError::Io { file: shown(path), source }
}
