//! Labelled images of any size on the disk, decoded and cut to squares as they are needed.

use limbeck_images::{Channels, Pixels, Resizer, Source, SourceError};
use rayon::prelude::*;

use super::{Dataset, MAX_BYTES, Split, files, refused};
use crate::plan::{DataPlan, Files};
use crate::progress::{Bar, Progress};
use crate::{Error, Result};

/// The images of one split.
pub struct Stream {
    source: Source,
    pub labels: Vec<u32>,
    pub channels: Channels,
    /// The side of the squares, in pixels.
    pub size: usize,
    pub classes: usize,
}

impl Stream {
    /// `None` where the images of this plan have one size and are held in memory. Fails with [`Error::Input`] as
    /// [`super::load`] does; no image is decoded yet. `progress` hears what was passed over.
    pub fn open(spec: &DataPlan, split: Split, progress: &Progress) -> Result<Option<Self>> {
        let Some(size) = spec.size else { return Ok(None) };
        let source = match files(spec, split)? {
            Files::Folder { path } => Source::folder(path, spec.classes),
            Files::Shards { files } => Source::shards(files, spec.classes),
            Files::Idx { .. } | Files::Cifar { .. } => return Ok(None),
        };
        let source = source.map_err(refused)?;
        if let Some(others) = source.passed_over().filter(|others| progress.is_new(others)) {
            progress.warn(others);
        }
        let channels = Channels::of(spec.channels).ok_or_else(|| Error::input("`data.channels` must be 1 or 3"))?;
        Ok(Some(Self { labels: source.classes(), source, channels, size, classes: spec.classes }))
    }

    /// How many images there are; at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a stream is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Image `row` in the size that it has on the disk. Fails with shard or folder, image and remedy.
    pub fn image(&self, row: usize) -> Result<Pixels> {
        self.source.image(row, self.channels).map_err(refused)
    }

    /// Fails where an image can't be read, as far as its first and last bytes tell, which takes a fraction of the time that
    /// decoding takes. Names the first, and others; each image that was looked at advances `bar`.
    pub fn check(&self, bar: &Bar) -> Result<()> {
        const NAMED: usize = 5;
        let complaint = |row| {
            let checked = self.source.check(row, self.channels);
            bar.advance(1);
            checked.err()
        };
        let mut bad = (0..self.len()).into_par_iter().filter_map(complaint).collect::<Vec<_>>().into_iter();
        let Some(first) = bad.next().map(refused) else { return Ok(()) };
        let more = bad.len();
        let name = |error| if let SourceError::Image { image, .. } = error { image } else { error.to_string() };
        let names = bad.take(NAMED).map(name).collect::<Vec<_>>().join("; ");
        let rest = if more > NAMED { "; …" } else { "" };
        Err(if more == 0 { first } else { Error::input(format!("{first} (and {more} more: {names}{rest})")) })
    }

    /// The images at `rows` and no others.
    pub fn subset(&self, rows: &[usize]) -> Self {
        let source = self.source.subset(rows);
        Self { labels: source.classes(), source, ..*self }
    }

    /// The middle squares of the images at `rows`, in memory.
    pub fn dataset(&self, rows: &[usize]) -> Result<Dataset> {
        let (channels, size) = (self.channels.count(), self.size);
        let bytes = channels * size * size;
        if (rows.len() as u64).saturating_mul(bytes as u64) > MAX_BYTES {
            return Err(Error::input(format!(
                "{} images of {size}x{size} pixels take more than 8 GiB of memory: take fewer, or a smaller `data.size`",
                rows.len()
            )));
        }
        let mut images = vec![0; rows.len() * bytes];
        let square = |resizer: &mut Resizer, (to, &row): (&mut [u8], &usize)| {
            let image = self.image(row)?;
            let square = resizer.centre(&image, size, size).ok_or_else(|| Error::failed("an image without pixels"))?;
            square.write_planes(to);
            Ok(())
        };
        // The first error in the order of images, whichever thread meets it first.
        let done = images.par_chunks_mut(bytes).zip(rows).map_init(Resizer::new, square).collect::<Vec<Result<()>>>();
        done.into_iter().collect::<Result<()>>()?;
        let labels = rows.iter().map(|&row| self.labels[row]).collect();
        Ok(Dataset { images, labels, channels, height: size, width: size, classes: self.classes })
    }
}
