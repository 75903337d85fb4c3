//! Labelled images, in memory or decoded as they are needed, and the files they come from: IDX, CIFAR binary, folders and
//! shards.
//!
//! A file is refused by name and byte offset as soon as it contradicts itself, its partner or the recipe; memory grows
//! with what a file really holds, never with what its header claims.

mod cifar;
mod folder;
mod idx;
mod source;
mod stream;

pub use stream::Stream;

use std::path::Path;

use candle_core::{Device, Tensor};
use limbeck_images::SourceError;

use crate::plan::{DataPlan, Files, Format};
use crate::progress::Progress;
use crate::{Error, Result};

/// The most bytes of pixels that one split may have: 8 GiB, as all of them are held in memory.
const MAX_BYTES: u64 = 8 << 30;

/// The largest height or width of an image, in pixels.
const MAX_SIDE: usize = 4096;

/// Which part of a data set to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    Test,
}

/// Labelled images of one size, all in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `[n, channels, height, width]`, 0 is black and 255 is full.
    pub images: Vec<u8>,
    /// `[n]`, each below `classes`.
    pub labels: Vec<u32>,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub classes: usize,
}

impl Dataset {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bytes of image `i`, `[channels, height, width]`. Panics when `i` is not below [`Dataset::len`].
    pub fn image(&self, i: usize) -> &[u8] {
        let size = self.image_bytes();
        &self.images[i * size..(i + 1) * size]
    }

    /// The images at `rows`, in that order; a row may come twice. Panics when a row is not below [`Dataset::len`].
    pub fn subset(&self, rows: &[usize]) -> Dataset {
        let mut images = Vec::with_capacity(rows.len() * self.image_bytes());
        rows.iter().for_each(|&row| images.extend_from_slice(self.image(row)));
        let labels = rows.iter().map(|&row| self.labels[row]).collect();
        Dataset { images, labels, ..*self }
    }

    /// The images at `rows` as f32 `[rows, channels, height, width]` in `[0, 1]` on the CPU, and their labels.
    ///
    /// Fails when a row is out of range or its label is not below `classes`.
    pub fn batch(&self, rows: &[usize]) -> Result<(Tensor, Vec<u32>)> {
        let mut pixels = Vec::with_capacity(rows.len() * self.image_bytes());
        let mut labels = Vec::with_capacity(rows.len());
        for &row in rows {
            let label = *self.labels.get(row).ok_or_else(|| {
                Error::failed(format!("image {row} was asked for, the data set has {}", self.labels.len()))
            })?;
            if label as usize >= self.classes {
                return Err(Error::input(format!(
                    "image {row} is of class {label}, but there are {} classes: see `data.classes`",
                    self.classes
                )));
            }
            labels.push(label);
            pixels.extend(self.image(row).iter().map(|&byte| f32::from(byte) / 255.0));
        }
        let shape = (rows.len(), self.channels, self.height, self.width);
        Ok((Tensor::from_vec(pixels, shape, &Device::Cpu)?, labels))
    }

    fn image_bytes(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Reads one split of a data set. `progress` hears of files that are passed over because they are no images.
///
/// Fails with [`Error::Input`] when the recipe doesn't name the split, and when a file is missing, truncated, too long,
/// or at odds with its partner or with `classes`.
pub fn load(spec: &DataPlan, split: Split, progress: &Progress) -> Result<Dataset> {
    if let Some(stream) = Stream::open(spec, split, progress)? {
        return stream.dataset(&(0..stream.len()).collect::<Vec<_>>());
    }
    match files(spec, split)? {
        Files::Idx { images, labels } => idx::load(images, labels, spec.classes),
        Files::Cifar { files } => cifar::load(files, spec.classes),
        Files::Folder { path } => folder::load(path, spec.classes),
        Files::Shards { .. } => Err(Error::input("shards need `data.size`")),
    }
}

/// The files of a split. Fails where the recipe doesn't name any, and where the class folders of the two splits differ.
fn files(spec: &DataPlan, split: Split) -> Result<&Files> {
    let (files, key) = match split {
        Split::Train => (&spec.train, "data.train"),
        Split::Test => (&spec.test, "data.test"),
    };
    let missing = || Error::input(format!("the recipe doesn't say where these images are: add `{key}` to it"));
    let files = files.as_ref().ok_or_else(missing)?;
    if let (Some(Files::Folder { path: train }), Some(Files::Folder { path: test })) = (&spec.train, &spec.test) {
        folder::same_classes(train, test)?;
    }
    Ok(files)
}

/// The error of training images that are no squares; `why` there must be some.
pub fn no_squares(spec: &DataPlan, train: &Dataset, why: &str) -> Error {
    let file = match &spec.train {
        Some(Files::Idx { images: path, .. } | Files::Folder { path }) => Some(path),
        Some(Files::Cifar { files } | Files::Shards { files }) => files.first(),
        None => None,
    };
    let of = file.map_or(String::new(), |path| format!(" of `{}`", path.display()));
    let size = if spec.format == Format::Folder { ", or set `data.size`" } else { "" };
    let Dataset { height, width, .. } = train;
    Error::input(format!(
        "`data.train`: the images{of} are {height} high and {width} wide, {why}: crop them first{size}"
    ))
}

/// An [`Error::Input`] that names a file.
fn bad_file(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::input(format!("`{}`: {reason}", path.display()))
}

/// Whatever is wrong with a folder or a shard, the user can repair.
fn refused(error: SourceError) -> Error {
    let key = if matches!(error, SourceError::Classes { .. }) { ", see `data.classes`" } else { "" };
    Error::input(format!("{error}{key}"))
}
