//! Mixup (Zhang et al., arXiv 1710.09412) and cutmix (Yun et al., arXiv 1905.04899): what is drawn, and what it does to a batch.

use std::ops::Range;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use crate::plan::AugmentPlan;

/// How images are mixed: image `i` is `share` of itself and the rest of image `partners[i]` of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    pub partners: Vec<usize>,
    /// 0 to 1.
    pub share: f32,
    /// Cutmix: the rows and columns that come from the partner. Without it all pixels are blended.
    pub cut: Option<(Range<usize>, Range<usize>)>,
}

impl Mix {
    /// For `n` images of `h` by `w` pixels; `None` where the plan asks for no mixing. Of mixup and cutmix, where both are asked
    /// for, each call takes one.
    pub fn draw(plan: &AugmentPlan, (n, h, w): (usize, usize, usize), random: &mut ChaCha8Rng) -> Option<Self> {
        let box_wanted = match (plan.mixup > 0.0, plan.cutmix > 0.0) {
            (false, false) => return None,
            (true, true) => random.random(),
            (_, cutmix) => cutmix,
        };
        let mut partners: Vec<usize> = (0..n).collect();
        partners.shuffle(random);
        let alpha = if box_wanted { plan.cutmix } else { plan.mixup };
        // The plan's range makes this distribution valid.
        let share = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(random)).clamp(0.0, 1.0);
        if !box_wanted {
            return Some(Self { partners, share, cut: None });
        }
        let (rows, columns) = cut(share, h, w, random);
        let share = 1.0 - (rows.len() * columns.len()) as f32 / (h * w) as f32;
        Some(Self { partners, share, cut: Some((rows, columns)) })
    }

    /// Mixes images, `[n, c, h, w]`, in place.
    pub fn apply(&self, pixels: &mut [f32], (c, h, w): (usize, usize, usize)) {
        let original = pixels.to_vec();
        let image = c * h * w;
        for (to, &partner) in pixels.chunks_exact_mut(image).zip(&self.partners) {
            let from = &original[partner * image..][..image];
            let Some((rows, columns)) = &self.cut else {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = self.share * *to + (1.0 - self.share) * from);
                continue;
            };
            for (to, from) in to.chunks_exact_mut(h * w).zip(from.chunks_exact(h * w)) {
                for y in rows.clone() {
                    let line = y * w + columns.start..y * w + columns.end;
                    to[line.clone()].copy_from_slice(&from[line]);
                }
            }
        }
    }

    /// Of each mixed image, what `each` says of the image that has the larger share in it. Every image is that of one mixed
    /// image, as partners are a permutation.
    pub fn main<T: Copy>(&self, each: &[T]) -> Vec<T> {
        if self.share < 0.5 { self.partners.iter().map(|&partner| each[partner]).collect() } else { each.to_vec() }
    }
}

/// A box of `1 − share` of the image's area around a random centre, cut off at the edges.
fn cut(share: f32, h: usize, w: usize, random: &mut ChaCha8Rng) -> (Range<usize>, Range<usize>) {
    let side = (1.0 - share).sqrt();
    let mut span = |size: usize| {
        let half = (side * size as f32 / 2.0).round() as usize;
        let centre = random.random_range(0..size);
        centre.saturating_sub(half)..(centre + half).min(size)
    };
    (span(h), span(w))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candle_core::Tensor;
    use limbeck_models::checkpoint;

    use super::*;
    use crate::seed::{Purpose, rng};
    use crate::training::Augmented;

    /// Mixed images and targets are torchvision's, from the same partners, shares and boxes (`tests/golden/make_mix.py`).
    #[test]
    fn images_and_targets_agree_with_torchvision() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/mix.safetensors");
        let golden = checkpoint::load(&path).unwrap().tensors;
        let values = |name: &str| golden[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (n, c, h, w) = golden["images"].dims4().unwrap();
        let classes = golden["mixup.targets"].dim(1).unwrap();
        let labels = golden["labels"].to_vec1::<u32>().unwrap();
        let sides = golden["cutmix.box"].to_vec1::<u32>().unwrap();
        let [left, top, right, bottom] = [0, 1, 2, 3].map(|i| sides[i] as usize);
        for (name, cut) in [("mixup", None), ("cutmix", Some((top..bottom, left..right)))] {
            // torchvision mixes each image with the one before it.
            let partners = (0..n).map(|i| (i + n - 1) % n).collect();
            let mix = Mix { partners, share: values(&format!("{name}.share"))[0], cut };
            let mut pixels = values("images");
            mix.apply(&mut pixels, (c, h, w));
            let images = Tensor::from_slice(&pixels, (n, c, h, w), golden["images"].device()).unwrap();
            let mixed = Augmented { images, labels: labels.clone(), mix: Some(mix) };
            let pairs = [
                (pixels, values(&format!("{name}.images"))),
                (mixed.targets(classes), values(&format!("{name}.targets"))),
            ];
            for (found, expected) in pairs {
                assert_eq!(found.len(), expected.len());
                assert!(
                    found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-6),
                    "{name}: {found:?}, {expected:?}"
                );
            }
        }
    }

    #[test]
    fn shares_are_areas_and_both_kinds_are_drawn() {
        let plan = AugmentPlan { mixup: 1.0, cutmix: 1.0, ..AugmentPlan::default() };
        let mut boxes = 0;
        for step in 0..40 {
            let mix = Mix::draw(&plan, (5, 7, 9), &mut rng(0, Purpose::Augment, step)).unwrap();
            let mut partners = mix.partners.clone();
            partners.sort_unstable();
            assert_eq!(partners, [0, 1, 2, 3, 4]);
            assert!((0.0..=1.0).contains(&mix.share));
            if let Some((rows, columns)) = mix.cut {
                boxes += 1;
                assert!(rows.end <= 7 && columns.end <= 9);
                assert!((mix.share - (1.0 - (rows.len() * columns.len()) as f32 / 63.0)).abs() < 1e-6);
            }
        }
        assert!((5..35).contains(&boxes), "{boxes}");
    }

    #[test]
    fn the_larger_share_is_the_main_image() {
        let mix = |share| Mix { partners: vec![1, 2, 0], share, cut: None };
        assert_eq!(mix(0.6).main(&[4, 5, 6]), [4, 5, 6]);
        assert_eq!(mix(0.4).main(&[4, 5, 6]), [5, 6, 4]);
    }
}
