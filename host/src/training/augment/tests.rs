use super::*;
use crate::data::Dataset;
use crate::seed::{Purpose, rng};

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
