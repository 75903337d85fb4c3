//! Where encoded images are: folders with one subfolder a class, and WebDataset shards.

mod shard;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::decode::{HEAD, TAIL, looks_whole};
use super::{Channels, Pixels, decode};

/// The largest encoded image that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// How the names of images end, and in words.
const KINDS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

const ENDINGS: &str = "images end in .jpg, .jpeg, .png or .webp";

/// What is wrong with a source, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("`{file}`: can't be read: {source}")]
    Io { file: String, source: std::io::Error },
    #[error("`{file}`: {found} subfolder{} ({names}), but there are {classes} classes: there must be one a class", end(.found))]
    Classes { file: String, found: usize, names: String, classes: usize },
    #[error("`{file}`: no image in it; {ENDINGS}")]
    Empty { file: String },
    #[error("`{file}`, byte {offset}: {reason}: copy the shard again, or leave it out")]
    Damaged { file: String, offset: u64, reason: String },
    #[error("`{file}`, sample `{key}`: {reason}: repair the shard or leave it out")]
    Sample { file: String, key: String, reason: String },
    /// `image` names it, with its shard.
    #[error("{image}: it {reason}: replace it or take it out")]
    Image { image: String, reason: String },
}

/// The end of the word for so many.
fn end(count: &usize) -> &'static str {
    if *count == 1 { "" } else { "s" }
}

/// One encoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// Its file, among [`Source::files`].
    file: usize,
    offset: u64,
    bytes: u64,
    /// What it is called in its shard; a file of its own is called by its path.
    key: Option<String>,
    class: u32,
}

/// Labelled images that stay on the disk until one is asked for.
#[derive(Clone, Debug)]
pub struct Source {
    files: Vec<PathBuf>,
    items: Vec<Item>,
    passed_over: Option<String>,
}

impl Source {
    /// The images in `path/<class>/`, in the order of class and file name. The classes are the subfolders sorted by name as
    /// text; hidden entries and files of other kinds are passed over. Fails where a class has no image.
    pub fn folder(path: &Path, classes: usize) -> Result<Self, SourceError> {
        let (mut files, mut items, mut others) = (Vec::new(), Vec::new(), LeftOut::default());
        for (class, folder) in class_folders(path, classes)?.iter().enumerate() {
            let before = files.len();
            for file in visible_entries(folder)? {
                if !is_image(extension(&file.to_string_lossy())) {
                    others.add(|| format!("`{}`", shown(&file)));
                    continue;
                }
                let bytes = std::fs::metadata(&file).map_err(|source| unreadable(&file, source))?.len();
                items.push(Item { file: files.len(), offset: 0, bytes, key: None, class: class as u32 });
                files.push(file);
            }
            if files.len() == before {
                return Err(SourceError::Empty { file: shown(folder) });
            }
        }
        Ok(Self { files, items, passed_over: others.told("is no image", "files are no images") })
    }

    /// The samples of WebDataset shards, in the order given: of each an image and `<key>.cls`, which holds its class as a
    /// number. Only the headers and the classes are read.
    pub fn shards(paths: &[PathBuf], classes: usize) -> Result<Self, SourceError> {
        let (mut items, mut others) = (Vec::new(), LeftOut::default());
        for (file, path) in paths.iter().enumerate() {
            items.extend(shard::index(path, file, classes, &mut others)?);
        }
        if items.is_empty() {
            return Err(SourceError::Empty { file: paths.first().map_or("shards".into(), |path| shown(path)) });
        }
        let passed_over = others.told("has a class but no image", "samples have a class but no image");
        Ok(Self { files: paths.to_vec(), items, passed_over })
    }

    /// How many files or samples were passed over because they are no images, and the first of them, in a sentence.
    pub fn passed_over(&self) -> Option<&str> {
        self.passed_over.as_deref()
    }

    /// How many images there are; at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a source is never empty")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The images at `rows`, in that order. Panics when a row is not below [`Source::len`].
    pub fn subset(&self, rows: &[usize]) -> Self {
        let items = rows.iter().map(|&row| self.items[row].clone()).collect();
        Self { files: self.files.clone(), items, passed_over: self.passed_over.clone() }
    }

    /// The class of each image.
    pub fn classes(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.class).collect()
    }

    /// Reads and decodes image `i`, which is below [`Source::len`]. The error names shard or folder, image and remedy.
    pub fn image(&self, i: usize, channels: Channels) -> Result<Pixels, SourceError> {
        let item = &self.items[i];
        let [bytes] = self.parts(item, [(0, item.bytes)])?;
        decode(&bytes, channels).map_err(|error| self.refuse(item, error.to_string()))
    }

    /// Fails as [`Source::image`] does, as far as the first and the last bytes of image `i` tell: only where these leave a
    /// doubt it is decoded.
    pub fn check(&self, i: usize, channels: Channels) -> Result<(), SourceError> {
        let item = &self.items[i];
        let (head, tail) = (HEAD.min(item.bytes), TAIL.min(item.bytes));
        let [head, tail] = self.parts(item, [(0, head), (item.bytes - tail, tail)])?;
        if looks_whole(&head, &tail, item.bytes) { Ok(()) } else { self.image(i, channels).map(drop) }
    }

    /// The bytes of an image from each start on, so many, which are within it.
    fn parts<const N: usize>(&self, item: &Item, places: [(u64, u64); N]) -> Result<[Vec<u8>; N], SourceError> {
        if item.bytes > MAX_BYTES {
            return Err(self.refuse(item, format!("has {} bytes, more than 256 MiB", item.bytes)));
        }
        let path = &self.files[item.file];
        let read = || {
            let mut file = File::open(path)?;
            let mut parts = [const { Vec::new() }; N];
            for (part, (start, count)) in parts.iter_mut().zip(places) {
                file.seek(SeekFrom::Start(item.offset + start))?;
                *part = vec![0; count as usize];
                file.read_exact(part)?;
            }
            Ok(parts)
        };
        read().map_err(|source| unreadable(path, source))
    }

    fn refuse(&self, item: &Item, reason: String) -> SourceError {
        let key = item.key.as_ref().map_or(String::new(), |key| format!(", image `{key}`"));
        SourceError::Image { image: format!("`{}`{key}", shown(&self.files[item.file])), reason }
    }
}

/// What was met beside the images: how many, and the name of the first.
#[derive(Default)]
struct LeftOut {
    count: usize,
    first: String,
}

impl LeftOut {
    fn add(&mut self, name: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = name();
        }
        self.count += 1;
    }

    /// In a sentence that says of one, or of several, what is the matter.
    fn told(self, one: &str, several: &str) -> Option<String> {
        let Self { count, first } = self;
        let sentence = match count {
            0 => return None,
            1 => format!("{first} {one}, so it is passed over"),
            _ => format!("{count} {several}, so they are passed over, the first is {first}"),
        };
        Some(format!("{sentence}: {ENDINGS}"))
    }
}

/// The subfolders of `path`, sorted by name as text; hidden ones and files beside them are passed over.
pub fn subfolders(path: &Path) -> Result<Vec<PathBuf>, SourceError> {
    Ok(visible_entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect())
}

/// The [`subfolders`] of `path`, one a class. Fails where there are more or fewer.
pub fn class_folders(path: &Path, classes: usize) -> Result<Vec<PathBuf>, SourceError> {
    let folders = subfolders(path)?;
    if folders.len() != classes {
        let names = folders.iter().filter_map(|folder| folder.file_name()).map(|name| name.to_string_lossy());
        let names = shortened(&names.collect::<Vec<_>>());
        return Err(SourceError::Classes { file: shown(path), found: folders.len(), names, classes });
    }
    Ok(folders)
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
