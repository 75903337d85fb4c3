//! Variation of images before each step: shifts, turns, mirrors, mixup and cutmix.
//!
//! All random choices are drawn first, from one generator; the pixels are then made in parallel.

use std::borrow::Cow;

use candle_core::{Device, Tensor};
use limbeck_images::{Channels, Jitter, Pixels, RandAugment, Resizer, Vary};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Mix, Normal};
use crate::data::{Dataset, Stream};
use crate::plan::AugmentPlan;
use crate::seed::{Purpose, rng};
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

/// How one image is moved. What comes in from outside is black.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Motion {
    /// Pixels downwards.
    dy: i32,
    /// Pixels to the right.
    dx: i32,
    /// Radians, about the centre.
    angle: f32,
    flip: bool,
}

impl Motion {
    /// Draws one plane; bytes become values from 0 to 1.
    fn draw(&self, from: &[u8], to: &mut [f32], h: usize, w: usize) {
        if self.angle == 0.0 {
            self.shift(from, to, h, w);
        } else {
            self.turn(from, to, h, w);
        }
    }

    fn shift(&self, from: &[u8], to: &mut [f32], h: usize, w: usize) {
        for (y, line) in to.chunks_exact_mut(w).enumerate() {
            let Some(source) = inside(y as i32 - self.dy, h).map(|y| &from[y * w..][..w]) else {
                line.fill(0.0);
                continue;
            };
            for (x, value) in line.iter_mut().enumerate() {
                let x = if self.flip { w - 1 - x } else { x };
                *value = inside(x as i32 - self.dx, w).map_or(0.0, |x| f32::from(source[x]) / 255.0);
            }
        }
    }

    /// Bilinear.
    fn turn(&self, from: &[u8], to: &mut [f32], h: usize, w: usize) {
        let (sin, cos) = self.angle.sin_cos();
        let (cy, cx) = ((h as f32 - 1.0) / 2.0, (w as f32 - 1.0) / 2.0);
        let pixel = |y: i32, x: i32| match (inside(y, h), inside(x, w)) {
            (Some(y), Some(x)) => f32::from(from[y * w + x]),
            _ => 0.0,
        };
        for (y, line) in to.chunks_exact_mut(w).enumerate() {
            let v = y as f32 - cy - self.dy as f32;
            for (x, value) in line.iter_mut().enumerate() {
                let x = if self.flip { w - 1 - x } else { x };
                let u = x as f32 - cx - self.dx as f32;
                let (sy, sx) = (cos * v - sin * u + cy, sin * v + cos * u + cx);
                let (top, left) = (sy.floor(), sx.floor());
                let (fy, fx) = (sy - top, sx - left);
                let (top, left) = (top as i32, left as i32);
                let upper = pixel(top, left) * (1.0 - fx) + pixel(top, left + 1) * fx;
                let lower = pixel(top + 1, left) * (1.0 - fx) + pixel(top + 1, left + 1) * fx;
                *value = (upper * (1.0 - fy) + lower * fy) / 255.0;
            }
        }
    }
}

fn inside(position: i32, size: usize) -> Option<usize> {
    usize::try_from(position).ok().filter(|&position| position < size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of 3×3 with one channel: 0 to 8 and 10 to 18.
    fn data() -> Dataset {
        let images = (0..9).chain(10..19).collect();
        Dataset { images, labels: vec![0, 1], channels: 1, height: 3, width: 3, classes: 2 }
    }

    fn bytes(images: &Tensor) -> Vec<u8> {
        let values = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().map(|value| (value * 255.0).round() as u8).collect()
    }

    fn batch(plan: AugmentPlan, step: u64) -> Augmented {
        Augment::new(&plan).batch(&data(), &[0, 1], &mut rng(0, Purpose::Augment, step)).unwrap()
    }

    fn moved(motion: Motion) -> Vec<u8> {
        let mut to = [0.0; 9];
        motion.draw(&data().images[..9], &mut to, 3, 3);
        to.map(|value| (value * 255.0).round() as u8).to_vec()
    }

    fn crops() -> AugmentPlan {
        AugmentPlan { resized_crop: 0.3, rand_augment: 2, brightness: 0.4, contrast: 0.4, ..AugmentPlan::default() }
    }

    #[test]
    fn threads_make_no_difference() {
        let shared = Augment::new(&crops());
        let alone = shared.clone().alone();
        let batch = |augment: &Augment| {
            let rows = [1, 0, 1, 1, 0, 0, 1, 0, 1];
            bytes(&augment.batch(&data(), &rows, &mut rng(0, Purpose::Augment, 3)).unwrap().images)
        };
        assert_eq!(batch(&shared), batch(&alone));
        assert_ne!(batch(&shared)[..9], batch(&shared)[18..27], "each image is varied by itself");
    }

    const STILL: Motion = Motion { dy: 0, dx: 0, angle: 0.0, flip: false };

    #[test]
    fn images_are_moved_as_said() {
        assert_eq!(moved(Motion { dy: 1, ..STILL }), [0, 0, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(moved(Motion { dx: -1, ..STILL }), [1, 2, 0, 4, 5, 0, 7, 8, 0]);
        assert_eq!(moved(Motion { flip: true, ..STILL }), [2, 1, 0, 5, 4, 3, 8, 7, 6]);
        let half = Motion { angle: std::f32::consts::PI, ..STILL };
        assert_eq!(moved(half), [8, 7, 6, 5, 4, 3, 2, 1, 0]);
        let quarter = Motion { angle: std::f32::consts::FRAC_PI_2, ..STILL };
        assert_eq!(moved(quarter), [6, 3, 0, 7, 4, 1, 8, 5, 2], "clockwise, as y points down");
    }

    #[test]
    fn a_small_turn_agrees_with_no_turn() {
        assert_eq!(moved(Motion { angle: 1e-6, dx: 1, ..STILL }), moved(Motion { dx: 1, ..STILL }));
    }

    #[test]
    fn mixup_blends_images_and_targets_alike() {
        for step in 0..20 {
            let mixed = batch(AugmentPlan { mixup: 1.0, ..AugmentPlan::default() }, step);
            let mix = mixed.mix.as_ref().unwrap();
            let values = mixed.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let expected = |i: usize, pixel: usize| {
                let own = (i * 10 + pixel) as f32;
                let other = (mix.partners[i] * 10 + pixel) as f32;
                (mix.share * own + (1.0 - mix.share) * other) / 255.0
            };
            assert!((0..18).all(|i| (values[i] - expected(i / 9, i % 9)).abs() < 1e-6));
            let targets = mixed.targets(2);
            assert!((targets[0] + targets[1] - 1.0).abs() < 1e-6);
            let largest = |i: usize| u32::from(targets[2 * i + 1] > targets[2 * i]);
            assert_eq!(mixed.main_classes(), [largest(0), largest(1)]);
        }
    }

    #[test]
    fn cutmix_shares_are_areas() {
        for step in 0..20 {
            let mixed = batch(AugmentPlan { cutmix: 1.0, ..AugmentPlan::default() }, step);
            let mix = mixed.mix.as_ref().unwrap();
            let own = bytes(&mixed.images)[..9].iter().filter(|&&byte| byte < 10).count();
            let expected = if mix.partners[0] == 0 { 9 } else { (mix.share * 9.0).round() as usize };
            assert_eq!(own, expected, "{mix:?}");
        }
    }

    #[test]
    fn the_numbers_decide_alone() {
        let plan = AugmentPlan { crop_padding: 2, rotate: 20.0, mixup: 0.3, cutmix: 0.3, flip: true, ..crops() };
        assert_eq!(bytes(&batch(plan.clone(), 5).images), bytes(&batch(plan.clone(), 5).images));
        assert_ne!(bytes(&batch(plan.clone(), 5).images), bytes(&batch(plan, 6).images));
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let plan = AugmentPlan::default();
        assert!(Augment::new(&plan).is_identity());
        let batch = batch(plan, 0);
        assert_eq!((bytes(&batch.images), batch.targets(2)), (data().images, vec![1.0, 0.0, 0.0, 1.0]));
    }
}
