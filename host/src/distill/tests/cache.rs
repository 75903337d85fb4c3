//! The teacher is asked once for what is kept.

use std::sync::atomic::Ordering;

use super::counting::{counting, without};
use super::teacher::Teacher;
use super::toy::{SIDE, Toy};

const CACHED: &str = "[distill.augment]\ncrop-padding = 1\nrotate = 5.0\n[distill.cache]\nvariations = 2";

fn moody() -> Teacher {
    Teacher { moody: 1e-3, ..Teacher::new(SIDE) }
}

/// Even of a teacher whose answers depend on the batch, kept answers must be found as an unbroken run finds them.
#[test]
fn kept_answers_change_nothing_where_it_was_broken_off() {
    let whole = Toy::new(CACHED);
    whole.distill_from(&moody(), &counting(None)).unwrap();
    let expected = whole.results();
    for stops in [vec![0], vec![1, 2], vec![3, 3, 11], vec![6, 8, 19]] {
        let toy = Toy::new(CACHED);
        for &stop in &stops {
            assert!(toy.distill_from(&moody(), &counting(Some(stop))).unwrap_err().to_string().contains("killed"));
        }
        toy.distill_from(&moody(), &counting(None)).unwrap();
        let found = toy.results();
        for (name, bytes) in &expected {
            assert!(found.get(name) == Some(bytes), "{name} differs after stops at {stops:?}");
        }
    }
}

#[test]
fn an_image_is_paid_for_once_by_all_epochs_and_students() {
    let (toy, teacher) = (Toy::new(CACHED), Teacher::new(SIDE));
    toy.distill_from(&teacher, &without).unwrap();
    let asked = teacher.asked.load(Ordering::Relaxed);
    let used = toy.cache_use();
    assert_eq!(used.misses, asked);
    assert_eq!(used.hits + used.misses, 2 * 2 * 5 * 32, "two arms, two students, five epochs of 32 images");
    assert!(asked <= 2 * 2 * 32, "two variations of each image of both arms, asked for {asked}");
    assert!(used.bytes > 0 && used.left_out == 0, "{used:?}");

    // Another run that names the same folder, with a teacher of the same key.
    let mut second = Toy::new(CACHED);
    second.plan.distill.cache.as_mut().unwrap().folder = Some(toy.run.join("cache"));
    let idle = Teacher::new(SIDE);
    second.distill_from(&idle, &without).unwrap();
    assert_eq!(idle.asked.load(Ordering::Relaxed), 0);
    assert_eq!((second.cache_use().hits, second.cache_use().misses), (2 * 2 * 5 * 32, 0));
    let students = |toy: &Toy| -> Vec<Vec<u8>> {
        toy.results().into_iter().filter(|(name, _)| name.ends_with("student.safetensors")).map(|(_, b)| b).collect()
    };
    assert!(students(&toy) == students(&second), "kept answers are the same answers");

    // A teacher with other options is another teacher.
    second.plan.teacher.members.get_mut("teacher").unwrap().config = serde_json::json!({ "deep": true });
    std::fs::remove_dir_all(second.run.join("checkpoints")).unwrap();
    second.distill_from(&idle, &without).unwrap();
    assert!(idle.asked.load(Ordering::Relaxed) > 0);
}

#[test]
fn features_are_kept_where_the_loss_looks_at_them() {
    let settings = format!("{CACHED}\n[distill.loss]\nhint = 0.5");
    let (kept, asked) = (Toy::new(&settings), Toy::new(&settings.replace("[distill.cache]\nvariations = 2", "")));
    kept.distill_from(&Teacher::with_features(), &without).unwrap();
    assert!(kept.cache_use().hits > kept.cache_use().misses);
    let again = Toy { plan: kept.plan.clone(), ..Toy::new(&settings) };
    again.distill_from(&Teacher::with_features(), &without).unwrap();
    assert!(again.results() == kept.results());
    asked.distill_from(&Teacher::with_features(), &without).unwrap();
    assert!(asked.last_accuracy("synthetic", 0).1 > 0.9 && kept.last_accuracy("synthetic", 0).1 > 0.9);
}

#[test]
fn unvaried_images_are_kept_too() {
    let toy = Toy::new("[distill.cache]");
    let ask = |toy: &Toy| {
        let teacher = Teacher::new(SIDE);
        toy.distill_from(&teacher, &without).unwrap();
        teacher.asked.load(Ordering::Relaxed)
    };
    assert!((32..=64).contains(&ask(&toy)));
    std::fs::remove_dir_all(toy.run.join("checkpoints")).unwrap();
    assert_eq!(ask(&toy), 0);
}
