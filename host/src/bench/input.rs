//! The way from JPEGs on the disk to normalised batches: read, decode, random resized crop, normalise, ahead of time.

use std::path::PathBuf;
use std::sync::Arc;

use limbeck_images::{Channels, Feed, Resizer, Source, SourceError, Vary, subfolders};
use rand::seq::SliceRandom as _;

use crate::seed::{Purpose, rng};
use crate::{Error, Result};

/// Means and deviations of photographs, as torchvision's networks take them.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What is loaded.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// A folder with one folder of images a class.
    pub images: PathBuf,
    pub batch: usize,
    /// Height and width of the result in pixels.
    pub side: usize,
    pub workers: usize,
    /// Batches that are made in all.
    pub batches: u64,
}

/// Batches, f32 `[batch, 3, side, side]`, of images in a random order.
pub struct Batches {
    feed: Feed<Result<Vec<f32>>>,
    /// Images in the folder.
    pub images: usize,
}

impl Batches {
    /// Begins to load. Fails where the folder does not hold folders of images.
    pub fn start(sizes: &Sizes) -> Result<Self> {
        let wrong = |error: SourceError| Error::input(error.to_string());
        let classes = subfolders(&sizes.images).map_err(wrong)?.len();
        let source = Arc::new(Source::folder(&sizes.images, classes).map_err(wrong)?);
        let images = source.len();
        let (batch, side) = (sizes.batch, sizes.side);
        let feed = Feed::start(0, sizes.batches, sizes.workers, move |step| load(&source, step, batch, side))?;
        Ok(Self { feed, images })
    }

    /// The next batch; how many images it has.
    pub fn take(&mut self) -> Result<usize> {
        let batch = self.feed.take().ok_or_else(|| Error::failed("there are no more batches"))??;
        Ok(batch.len())
    }
}

/// Batch `step` of an endless row of shuffled epochs.
fn load(source: &Source, step: u64, batch: usize, side: usize) -> Result<Vec<f32>> {
    let vary = Vary { resized_crop: Some(0.08), ..Vary::default() };
    let (mut resizer, size) = (Resizer::new(), 3 * side * side);
    let mut values = vec![0.0; batch * size];
    let (first, count) = (step * batch as u64, source.len() as u64);
    let mut order = (u64::MAX, Vec::new());
    for (i, to) in values.chunks_exact_mut(size).enumerate() {
        let number = first + i as u64;
        if order.0 != number / count {
            order = (number / count, shuffled(source.len(), number / count));
        }
        let image = source.image(order.1[(number % count) as usize], Channels::Rgb);
        let image = image.map_err(|error| Error::input(error.to_string()))?;
        let mut random = rng(0, Purpose::Augment, number);
        let image = vary.image(&image, side, &mut resizer, &mut random);
        let mut image = image.ok_or_else(|| Error::failed("an image without pixels"))?;
        if rand::Rng::random(&mut random) {
            image.flip();
        }
        image.write_normalised(&MEAN, &STD, to);
    }
    Ok(values)
}

/// The images of an epoch in their order.
fn shuffled(images: usize, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..images).collect();
    order.shuffle(&mut rng(0, Purpose::Shuffle, epoch));
    order
}
