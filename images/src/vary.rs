//! Random variation of an image: what is drawn, and what is then done. The distributions are torchvision's.

use rand::Rng;
use rand::seq::SliceRandom;

use super::{Change, Pixels, Resizer, Window};

/// The aspect ratios of random crops, width over height.
const RATIOS: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// The steps of RandAugment's magnitudes: 0 to 30.
const BINS: f64 = 31.0;

/// `ColorJitter`: how far each factor may be from 1, and the hue from 0. 0 is off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jitter {
    pub brightness: f32,
    pub contrast: f32,
    pub saturation: f32,
    pub hue: f32,
}

/// `RandAugment` (Cubuk et al., arXiv 1909.13719).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandAugment {
    /// Changes an image.
    pub changes: usize,
    /// 0 to 30.
    pub magnitude: u32,
}

/// The variations of an image. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vary {
    /// `RandomResizedCrop`: the smallest share of the area that a crop may have, above 0 to 1; the largest is 1.
    pub resized_crop: Option<f64>,
    pub rand_augment: Option<RandAugment>,
    pub jitter: Jitter,
}

impl Vary {
    /// Whether nothing is ever changed.
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// A varied image of `side` × `side`. Without a random crop it is the middle of the image.
    pub fn image(&self, image: &Pixels, side: usize, resizer: &mut Resizer, random: &mut impl Rng) -> Option<Pixels> {
        let mut varied = match self.resized_crop {
            Some(least) => {
                let window = random_window(image.height, image.width, least, random);
                resizer.resized_crop(image, window, side, side)?
            }
            None => resizer.centre(image, side, side)?,
        };
        self.colours(&mut varied, random);
        Some(varied)
    }

    /// RandAugment and colour jitter.
    pub fn colours(&self, image: &mut Pixels, random: &mut impl Rng) {
        if let Some(RandAugment { changes, magnitude }) = self.rand_augment {
            for _ in 0..changes {
                if let Some(change) = rand_change(magnitude, image.height, image.width, random) {
                    change.apply(image);
                }
            }
        }
        self.jitter.draw(random).into_iter().for_each(|change| change.apply(image));
    }
}

impl Jitter {
    /// The changes in the order in which they are to be made.
    fn draw(&self, random: &mut impl Rng) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut factor = |reach: f32, change: fn(f32) -> Change| {
            if reach > 0.0 {
                changes.push(change(random.random_range((1.0 - reach).max(0.0)..=1.0 + reach)));
            }
        };
        factor(self.brightness, Change::Brightness);
        factor(self.contrast, Change::Contrast);
        factor(self.saturation, Change::Saturation);
        if self.hue > 0.0 {
            changes.push(Change::Hue(random.random_range(-self.hue..=self.hue)));
        }
        changes.shuffle(random);
        changes
    }
}

/// A window of a share of the area from `least` to 1, at a random place; the middle where ten draws don't fit.
fn random_window(height: usize, width: usize, least: f64, random: &mut impl Rng) -> Window {
    let (area, (low, high)) = ((height * width) as f64, RATIOS);
    for _ in 0..10 {
        let wanted = area * random.random_range(least..=1.0);
        let ratio = random.random_range(low.ln()..=high.ln()).exp();
        let (w, h) = ((wanted * ratio).sqrt().round() as usize, (wanted / ratio).sqrt().round() as usize);
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = random.random_range(0..=height - h);
            let left = random.random_range(0..=width - w);
            return Window { top, left, height: h, width: w };
        }
    }
    let ratio = width as f64 / height as f64;
    let (h, w) = if ratio < low {
        ((width as f64 / low).round() as usize, width)
    } else if ratio > high {
        (height, (height as f64 * high).round() as usize)
    } else {
        (height, width)
    };
    let (h, w) = (h.clamp(1, height), w.clamp(1, width));
    Window { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }
}

/// One of RandAugment's fourteen changes, each as likely; `None` is the one that does nothing.
fn rand_change(magnitude: u32, height: usize, width: usize, random: &mut impl Rng) -> Option<Change> {
    let part = f64::from(magnitude) / (BINS - 1.0);
    let kind = random.random_range(0..14);
    let sign = if random.random() { 1.0 } else { -1.0 };
    let factor = (1.0 + sign * 0.9 * part) as f32;
    // torchvision takes the largest shift from an image of 331 pixels.
    let shift = |size: usize| sign * part * (150.0 * size as f64 / 331.0);
    Some(match kind {
        0 => return None,
        1 => Change::ShearX(sign * 0.3 * part),
        2 => Change::ShearY(sign * 0.3 * part),
        3 => Change::TranslateX(shift(width).trunc()),
        4 => Change::TranslateY(shift(height).trunc()),
        5 => Change::Rotate(sign * 30.0 * part),
        6 => Change::Brightness(factor),
        7 => Change::Saturation(factor),
        8 => Change::Contrast(factor),
        9 => Change::Sharpness(factor),
        10 => Change::Posterize(8 - (part * 4.0).round_ties_even() as u8),
        11 => Change::Solarize((255.0 - 255.0 * part) as f32),
        12 => Change::AutoContrast,
        _ => Change::Equalize,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::Channels;

    fn random() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    #[test]
    fn windows_lie_inside_and_have_the_shares_asked_for() {
        let mut random = random();
        let mut shares = Vec::new();
        for _ in 0..1000 {
            let window = random_window(120, 160, 0.25, &mut random);
            assert!(window.top + window.height <= 120 && window.left + window.width <= 160, "{window:?}");
            let ratio = window.width as f64 / window.height as f64;
            assert!((0.73..1.36).contains(&ratio), "{window:?}");
            shares.push((window.height * window.width) as f64 / (120.0 * 160.0));
        }
        let mean = shares.iter().sum::<f64>() / 1000.0;
        assert!(shares.iter().all(|share| (0.24..=1.0).contains(share)) && (0.5..0.66).contains(&mean), "{mean}");
        // Nothing fits into a strip: its middle is taken.
        let strip = random_window(10, 1000, 0.9, &mut random);
        assert_eq!(strip, Window { top: 0, left: 493, height: 10, width: 13 });
    }

    #[test]
    fn every_change_comes_up_and_magnitudes_are_those_of_torchvision() {
        let mut random = random();
        let drawn: Vec<_> = (0..2000).map(|_| rand_change(9, 331, 331, &mut random)).collect();
        let name = |change: &Change| format!("{change:?}").split('(').next().unwrap_or_default().to_owned();
        let names: BTreeSet<_> = drawn.iter().map(|change| change.as_ref().map(name)).collect();
        assert_eq!(names.len(), 14, "{names:?}");
        let has = |wanted: Change| drawn.iter().flatten().any(|change| *change == wanted);
        assert!(has(Change::TranslateX(45.0)) && has(Change::TranslateY(-45.0)) && has(Change::Posterize(7)));
        assert!(has(Change::Solarize(178.5)) && has(Change::Equalize) && has(Change::AutoContrast));
        assert!(has(Change::Brightness(1.27)) && has(Change::Rotate(9.0)), "{drawn:?}");
    }

    #[test]
    fn the_numbers_decide_alone() {
        let image = Pixels::new(Channels::Rgb, 40, 30, (0..3600).map(|i| (i * 7 % 251) as u8).collect()).unwrap();
        let vary = Vary {
            resized_crop: Some(0.08),
            rand_augment: Some(RandAugment { changes: 2, magnitude: 9 }),
            jitter: Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
        };
        let draw = |seed| vary.image(&image, 16, &mut Resizer::new(), &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert_eq!((draw(3).height, draw(3).width), (16, 16));
        assert!(Vary::default().is_identity() && !vary.is_identity());
    }
}
