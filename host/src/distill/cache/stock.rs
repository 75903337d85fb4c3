//! The entries of one teacher: an index in memory, the values in files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Key;
use super::segment::{FRAME, Segment};
use crate::progress::Progress;
use crate::run_dir::{RunDir, RunLock, sha256_bytes};
use crate::{Error, Result};

/// Values that wait in memory for the next file, in bytes.
const PENDING: usize = 8 << 20;
const SUFFIX: &str = "logits";

pub(super) struct Stock {
    folder: RunDir,
    /// Held while this process may add; another one only reads.
    lock: Option<RunLock>,
    teacher: [u8; 32],
    width: usize,
    segments: Vec<Segment>,
    index: HashMap<Key, Place>,
    pending: Pending,
    /// The number of the next file.
    next: u64,
    bytes: u64,
    most: u64,
}

#[derive(Clone, Copy)]
enum Place {
    Segment { segment: u32, entry: u32 },
    Pending(usize),
}

#[derive(Default)]
struct Pending {
    keys: Vec<Key>,
    logits: Vec<f32>,
    seconds: f64,
}

impl Stock {
    /// Opens the folder of one teacher below `root`, which has at most `most` bytes for all of them: the oldest teachers'
    /// folders go first. A damaged file is named and removed; what was in it is asked again.
    pub(super) fn open(root: &Path, teacher: &str, width: usize, most: u64, progress: &Progress) -> Result<Self> {
        let folder = root.join(&teacher[..teacher.len().min(16)]);
        let folder = RunDir::create_or(&folder, "name another `distill.cache.folder`")?;
        let lock = match folder.lock() {
            Ok(lock) => Some(lock),
            Err(_) => {
                progress.note("another process adds to the kept answers of this teacher: they are only read here");
                None
            }
        };
        let mut stock = Self {
            folder,
            lock,
            teacher: digest(teacher),
            width,
            segments: Vec::new(),
            index: HashMap::new(),
            pending: Pending::default(),
            next: 0,
            bytes: 0,
            most,
        };
        for (number, path) in files(stock.folder.path())? {
            stock.next = stock.next.max(number + 1);
            match Segment::open(&path, &stock.teacher, width) {
                Ok(segment) => stock.take_up(segment),
                Err(why) => {
                    progress.warn(format_args!("`{}` is damaged: {why}: the teacher is asked again", path.display()));
                    if stock.lock.is_some() {
                        fs_err::remove_file(&path)?;
                    }
                }
            }
        }
        make_room(root, stock.folder.path(), most.saturating_sub(stock.bytes))?;
        Ok(stock)
    }

    fn take_up(&mut self, segment: Segment) {
        self.bytes += segment.bytes;
        let number = self.segments.len() as u32;
        for (entry, key) in segment.keys.iter().enumerate() {
            self.index.entry(*key).or_insert(Place::Segment { segment: number, entry: entry as u32 });
        }
        self.segments.push(segment);
    }

    /// The logits of an image, if they are kept and can be read.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<f32>> {
        match *self.index.get(key)? {
            Place::Segment { segment, entry } => self.segments.get(segment as usize)?.read(entry as usize).ok(),
            Place::Pending(entry) => Some(self.pending.logits[entry * self.width..][..self.width].to_vec()),
        }
    }

    /// Adds the answers of one call, all of them or, where the bound would be passed or another process writes, none.
    pub(super) fn add(&mut self, keys: &[Key], logits: &[f32], seconds: f64) -> bool {
        let size = (size_of::<Key>() + 4 * self.width) as u64 * keys.len() as u64;
        let full = self.bytes + self.waiting().max(FRAME) + size > self.most;
        if self.lock.is_none() || full || logits.len() != keys.len() * self.width {
            return false;
        }
        for (key, logits) in keys.iter().zip(logits.chunks_exact(self.width)) {
            let entry = self.pending.keys.len();
            if let std::collections::hash_map::Entry::Vacant(vacant) = self.index.entry(*key) {
                vacant.insert(Place::Pending(entry));
                self.pending.keys.push(*key);
                self.pending.logits.extend_from_slice(logits);
            }
        }
        self.pending.seconds += seconds;
        true
    }

    /// The size of the file that what waits will be.
    fn waiting(&self) -> u64 {
        let entries = self.pending.keys.len() * (size_of::<Key>() + 4 * self.width);
        if entries == 0 { 0 } else { FRAME + entries as u64 }
    }

    /// Writes what waits as a file of its own.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.pending.keys.is_empty() {
            return Ok(());
        }
        let Pending { keys, logits, seconds } = std::mem::take(&mut self.pending);
        let name = format!("{:06}.{SUFFIX}", self.next);
        let bytes = Segment::to_bytes(&self.teacher, self.width, seconds, &keys, &logits);
        let written = self.folder.write_atomic(&name, &bytes).and_then(|()| {
            Segment::open(&self.folder.join(&name), &self.teacher, self.width)
                .map_err(|why| Error::failed(format!("`{name}`: {why}")))
        });
        self.next += 1;
        // What could not be written is asked again when it is met again; more will not be added.
        for key in &keys {
            self.index.remove(key);
        }
        match written {
            Ok(segment) => {
                self.take_up(segment);
                Ok(())
            }
            Err(error) => {
                self.lock = None;
                Err(error)
            }
        }
    }

    /// Whether enough waits to be written.
    pub(super) fn is_due(&self) -> bool {
        self.waiting() as usize >= PENDING
    }

    /// On the disk and waiting for it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.waiting()
    }

    /// How long the teacher took for an image, over all that is kept; 0 while nothing is.
    pub(super) fn seconds_an_image(&self) -> f64 {
        let seconds = self.segments.iter().map(|segment| segment.seconds).sum::<f64>() + self.pending.seconds;
        let images = self.segments.iter().map(|segment| segment.keys.len()).sum::<usize>() + self.pending.keys.len();
        if images == 0 { 0.0 } else { seconds / images as f64 }
    }
}

fn digest(teacher: &str) -> [u8; 32] {
    let hex = sha256_bytes(teacher.as_bytes());
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default();
    }
    bytes
}

/// The files of kept logits in a folder, by their number.
fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == SUFFIX)) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes other teachers' files, those of the one that was used longest ago first, until they fit into `room` bytes.
fn make_room(root: &Path, own: &Path, room: u64) -> Result<()> {
    let mut others = Vec::new();
    for entry in fs_err::read_dir(root)? {
        let folder = entry?.path();
        if folder == own || !folder.is_dir() {
            continue;
        }
        let files = files(&folder)?;
        let sizes = files.iter().filter_map(|(_, path)| path.metadata().ok());
        let used = sizes.clone().filter_map(|metadata| metadata.modified().ok()).max();
        others.push((used, sizes.map(|metadata| metadata.len()).sum::<u64>(), folder, files));
    }
    others.sort();
    let mut total: u64 = others.iter().map(|(_, bytes, ..)| bytes).sum();
    for (_, bytes, folder, files) in others {
        if total <= room {
            return Ok(());
        }
        // A teacher that another process is using stays.
        let Ok(_lock) = RunDir::open(&folder).and_then(|folder| folder.lock()) else { continue };
        for (_, path) in files {
            fs_err::remove_file(path)?;
        }
        total -= bytes;
    }
    Ok(())
}
