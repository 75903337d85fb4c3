//! Variation of images before each step: shifts, turns, mirrors, mixup and cutmix.
//!
//! All random choices are drawn first, from one generator; the pixels are then made in parallel.

mod images;
mod motion;
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};
use limbeck_images::{Jitter, RandAugment, Vary};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use self::images::Images;
use self::motion::Motion;
use super::Mix;
use crate::plan::AugmentPlan;
use crate::{Error, Result};

/// A varied batch.
pub struct Augmented {
    /// f32 `[n, channels, height, width]` in `[0, 1]`, on the CPU.
    pub images: Tensor,
    /// The classes of the images, before any mixing.
    pub labels: Vec<u32>,
    pub mix: Option<Mix>,
}

impl Augmented {
    /// The class that has the largest share in each image.
    pub fn main_classes(&self) -> Vec<u32> {
        self.main(&self.labels)
    }

    /// Of each image of the batch, what `each` says of the image that it mostly is.
    pub fn main<T: Copy>(&self, each: &[T]) -> Vec<T> {
        self.mix.as_ref().map_or_else(|| each.to_vec(), |mix| mix.main(each))
    }

    /// Batches of unmixed images of one size as one.
    pub fn join(parts: &[Self]) -> Result<Self> {
        let images: Vec<&Tensor> = parts.iter().map(|part| &part.images).collect();
        let labels = parts.iter().flat_map(|part| &part.labels).copied().collect();
        Ok(Self { images: Tensor::cat(&images, 0)?, labels, mix: None })
    }

    /// The share of each class in each image, f32 `[n, classes]`, row-major.
    pub fn targets(&self, classes: usize) -> Vec<f32> {
        let mut targets = vec![0.0; self.labels.len() * classes];
        for (i, row) in targets.chunks_exact_mut(classes).enumerate() {
            let share = self.mix.as_ref().map_or(1.0, |mix| mix.share);
            row[self.labels[i] as usize] += share;
            if let Some(mix) = &self.mix {
                row[self.labels[mix.partners[i]] as usize] += 1.0 - share;
            }
        }
        targets
    }
}

/// The variations that a recipe asks for.
#[derive(Clone, Debug)]
pub struct Augment {
    plan: AugmentPlan,
    vary: Vary,
    /// Whether the pixels of a batch are shared out between threads.
    shared: bool,
}

impl Augment {
    pub fn new(plan: &AugmentPlan) -> Self {
        let AugmentPlan { resized_crop, rand_augment, rand_augment_magnitude, .. } = *plan;
        let AugmentPlan { brightness, contrast, saturation, hue, .. } = *plan;
        let vary = Vary {
            resized_crop: Some(resized_crop).filter(|&share| share > 0.0),
            rand_augment: (rand_augment > 0)
                .then_some(RandAugment { changes: rand_augment, magnitude: rand_augment_magnitude }),
            jitter: Jitter { brightness, contrast, saturation, hue },
        };
        Self { plan: plan.clone(), vary, shared: true }
    }

    /// The same on the calling thread alone, for threads that work beside others.
    pub fn alone(self) -> Self {
        Self { shared: false, ..self }
    }

    /// Whether every image stays as it is, so that what is known of it need not be worked out again.
    pub fn is_identity(&self) -> bool {
        let AugmentPlan { crop_padding, rotate, mixup, cutmix, flip, .. } = self.plan;
        crop_padding == 0 && rotate == 0.0 && mixup == 0.0 && cutmix == 0.0 && !flip && self.vary.is_identity()
    }

    /// The images at `rows`, varied by numbers from `random`.
    pub fn batch(&self, data: &(impl Images + ?Sized), rows: &[usize], random: &mut ChaCha8Rng) -> Result<Augmented> {
        let labels = rows.iter().map(|&row| label(data, row)).collect::<Result<Vec<_>>>()?;
        let motions: Vec<Motion> = rows.iter().map(|_| self.motion(random)).collect();
        // What is drawn of each image's variation does not change what is drawn of the next one's.
        let seeds: Vec<u64> = rows.iter().map(|_| if self.vary.is_identity() { 0 } else { random.random() }).collect();
        let (c, h, w) = data.shape();
        let mut pixels = vec![0.0f32; rows.len() * c * h * w];
        let draw = |(to, i): (&mut [f32], usize)| -> Result<()> {
            let image = data.planes(rows[i], &self.vary, seeds[i])?;
            let planes = to.chunks_exact_mut(h * w).zip(image.chunks_exact(h * w));
            planes.for_each(|(to, from)| motions[i].draw(from, to, h, w));
            Ok(())
        };
        let size = (c * h * w).max(1);
        if self.shared {
            // The first error in the order of images, whichever thread meets it first.
            let images = pixels.par_chunks_mut(size).zip(0..rows.len()).with_min_len(4);
            images.map(draw).collect::<Vec<_>>().into_iter().collect::<Result<()>>()?;
        } else {
            pixels.chunks_mut(size).zip(0..rows.len()).try_for_each(draw)?;
        }
        let mix = Mix::draw(&self.plan, (rows.len(), h, w), random);
        if let Some(mix) = &mix {
            mix.apply(&mut pixels, (c, h, w));
        }
        let images = Tensor::from_vec(pixels, (rows.len(), c, h, w), &Device::Cpu)?;
        Ok(Augmented { images, labels, mix })
    }

    fn motion(&self, random: &mut ChaCha8Rng) -> Motion {
        let reach = i32::try_from(self.plan.crop_padding).unwrap_or(64);
        let mut shift = || if reach == 0 { 0 } else { random.random_range(-reach..=reach) };
        let (dy, dx) = (shift(), shift());
        let angle = if self.plan.rotate == 0.0 {
            0.0
        } else {
            random.random_range(-self.plan.rotate..=self.plan.rotate).to_radians()
        };
        Motion { dy, dx, angle, flip: self.plan.flip && random.random() }
    }
}

/// The class of image `row`. Fails where there is no such class.
fn label(data: &(impl Images + ?Sized), row: usize) -> Result<u32> {
    let (label, classes) = (data.label(row), data.classes());
    if label as usize >= classes {
        let reason = format!("image {row} is of class {label}, but there are {classes} classes: see `data.classes`");
        return Err(Error::input(reason));
    }
    Ok(label)
}
