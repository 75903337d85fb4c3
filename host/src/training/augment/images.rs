//! Images that can be varied: a data set in memory, or files that are read as they are needed.

use std::borrow::Cow;

use limbeck_images::{Channels, Pixels, Resizer, Vary};

use crate::data::{Dataset, Stream};
use crate::seed::{Purpose, rng};
use crate::training::Normal;
use crate::{Error, Result};

/// Images on the disk from which mean and deviation are taken.
const NORMAL_IMAGES: usize = 1000;

/// Images that can be varied.
pub trait Images: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Channels, height and width of every image once it is varied.
    fn shape(&self) -> (usize, usize, usize);

    fn classes(&self) -> usize;

    fn label(&self, row: usize) -> u32;

    /// By what a network's input is to be normalised.
    fn normal(&self) -> Result<Normal>;

    /// The bytes of image `row`, `[channels, height, width]`, varied by numbers that follow from `seed`.
    fn planes(&self, row: usize, vary: &Vary, seed: u64) -> Result<Cow<'_, [u8]>>;
}

impl Images for Dataset {
    fn count(&self) -> usize {
        self.len()
    }

    fn shape(&self) -> (usize, usize, usize) {
        (self.channels, self.height, self.width)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, row: usize) -> u32 {
        self.labels[row]
    }

    fn normal(&self) -> Result<Normal> {
        Normal::of(self)
    }

    fn planes(&self, row: usize, vary: &Vary, seed: u64) -> Result<Cow<'_, [u8]>> {
        if vary.is_identity() {
            return Ok(Cow::Borrowed(self.image(row)));
        }
        let channels = Channels::of(self.channels).ok_or_else(|| {
            let reason =
                format!("images of {} channels can't be varied by crops and colours, only 1 or 3", self.channels);
            Error::input(reason)
        })?;
        let image = Pixels::from_planes(channels, self.height, self.width, self.image(row));
        varied(image, self.height, vary, seed)
    }
}

impl Images for Stream {
    fn count(&self) -> usize {
        self.len()
    }

    fn shape(&self) -> (usize, usize, usize) {
        (self.channels.count(), self.size, self.size)
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, row: usize) -> u32 {
        self.labels[row]
    }

    /// Of evenly spaced images: not all are decoded for it.
    fn normal(&self) -> Result<Normal> {
        let step = self.len().div_ceil(NORMAL_IMAGES).max(1);
        Normal::of(&self.dataset(&(0..self.len()).step_by(step).collect::<Vec<_>>())?)
    }

    fn planes(&self, row: usize, vary: &Vary, seed: u64) -> Result<Cow<'_, [u8]>> {
        varied(Some(self.image(row)?), self.size, vary, seed)
    }
}

fn varied(image: Option<Pixels>, side: usize, vary: &Vary, seed: u64) -> Result<Cow<'static, [u8]>> {
    thread_local! {
        // Its buffers are worth keeping; what it makes does not depend on them.
        static RESIZER: std::cell::RefCell<Resizer> = std::cell::RefCell::default();
    }
    let mut random = rng(seed, Purpose::Augment, 0);
    let varied =
        image.and_then(|image| RESIZER.with_borrow_mut(|resizer| vary.image(&image, side, resizer, &mut random)));
    let varied = varied.ok_or_else(|| Error::failed("an image without pixels can't be varied"))?;
    let mut planes = vec![0; varied.data.len()];
    varied.write_planes(&mut planes);
    Ok(Cow::Owned(planes))
}
