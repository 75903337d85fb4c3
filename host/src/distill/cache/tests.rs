use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::progress::Mode;

/// A folder, what it may hold, and how many images a teacher of it was asked for.
struct Place {
    dir: tempfile::TempDir,
    asked: AtomicUsize,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), asked: AtomicUsize::new(0) }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("cache")
    }

    fn with<R>(&self, teacher: &str, most: u64, work: impl FnOnce(&Cache<'_>) -> R) -> R {
        let (progress, run) = (Progress::new(Mode::Quiet), RunDir::create(&self.dir.path().join("run")).unwrap());
        let stock = Stock::open(&self.root(), teacher, 2, most, &progress).unwrap();
        let used = run.read_json(USE_FILE).unwrap().unwrap_or_default();
        let cache = Cache { run: &run, progress: &progress, state: Mutex::new(State { stock, used }) };
        work(&cache)
    }

    /// The answers for images of these brightnesses: each and its negative.
    fn answers(&self, cache: &Cache<'_>, images: &[f32]) -> Vec<f32> {
        let tensor = Tensor::new(images, &Device::Cpu).unwrap().reshape((images.len(), 1, 1, 1)).unwrap();
        let ask = |images: &Tensor| {
            let values = images.flatten_all()?.to_vec1::<f32>()?;
            self.asked.fetch_add(values.len(), Ordering::Relaxed);
            Ok(values.iter().flat_map(|value| [*value, -value]).collect())
        };
        let found = cache.answer(&tensor, ask).unwrap();
        let expected: Vec<f32> = images.iter().flat_map(|value| [*value, -value]).collect();
        assert_eq!(found, expected);
        found
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

const ROOMY: u64 = 1 << 20;

#[test]
fn a_folder_that_cannot_be_made_is_named_by_its_key() {
    let place = Place::new();
    std::fs::write(place.root(), "a file").unwrap();
    let message = Stock::open(&place.root(), "t", 2, ROOMY, &Progress::new(Mode::Quiet)).err().unwrap().to_string();
    assert!(message.ends_with(": name another `distill.cache.folder`"), "{message}");
}

fn teacher(name: &str) -> String {
    crate::run_dir::sha256_bytes(name.as_bytes())
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "logits"));
    found.sort();
    found
}

#[test]
fn each_image_is_asked_once_also_by_the_next_process() {
    let place = Place::new();
    place.with(&teacher("a"), ROOMY, |cache| {
        place.answers(cache, &[0.1, 0.2, 0.3]);
        assert_eq!(place.asked(), 3);
        place.answers(cache, &[0.3, 0.4, 0.1, 0.4]);
        assert_eq!(place.asked(), 2, "the one twice in this batch is asked twice, the known ones not at all");
        cache.keep().unwrap();
        place.answers(cache, &[0.5]);
        assert_eq!(place.asked(), 1, "this one is not kept before the end");
    });
    place.with(&teacher("a"), ROOMY, |cache| {
        place.answers(cache, &[0.4, 0.3, 0.2, 0.1]);
        assert_eq!(place.asked(), 0);
        place.answers(cache, &[0.5, -0.0, 0.0]);
        assert_eq!(place.asked(), 3, "the two zeros differ in a bit");
        cache.keep().unwrap();
        let used = cache.state.lock().unwrap().used;
        assert_eq!((used.hits, used.misses, used.left_out), (2 + 4, 5 + 3, 0));
        assert!(used.seconds_saved.is_finite() && used.bytes > 0);
    });
    place.with(&teacher("b"), ROOMY, |cache| {
        place.answers(cache, &[0.1]);
        assert_eq!(place.asked(), 1, "another teacher's answers are its own");
    });
}

#[test]
fn damaged_files_are_made_anew() {
    let place = Place::new();
    let fill = |images: &[f32]| {
        place.with(&teacher("a"), ROOMY, |cache| {
            place.answers(cache, images);
            cache.keep().unwrap();
        });
        place.asked()
    };
    assert_eq!((fill(&[0.1, 0.2]), fill(&[0.3, 0.4]), fill(&[0.1, 0.4])), (2, 2, 0));
    let folder = place.root().join(&teacher("a")[..16]);
    let first = segments(&folder)[0].clone();
    let mut bytes = std::fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    std::fs::write(folder.join("000007.logits"), "").unwrap();
    std::fs::write(folder.join(".000009.logits.tmp"), "half of a fi").unwrap();
    assert_eq!(fill(&[0.1, 0.2, 0.3, 0.4]), 2, "the other file is as good as before");
    assert_eq!(fill(&[0.1, 0.2, 0.3, 0.4]), 0);
    assert_eq!(segments(&folder).len(), 2);
}

#[test]
fn the_bound_holds_for_all_teachers_together() {
    let place = Place::new();
    let entry = 16 + 8;
    let small = 64 + 32 + 3 * entry;
    place.with(&teacher("a"), small, |cache| {
        place.answers(cache, &[0.1, 0.2]);
        place.answers(cache, &[0.3, 0.4]);
        place.answers(cache, &[0.1, 0.2, 0.3]);
        cache.keep().unwrap();
        let used = cache.state.lock().unwrap().used;
        assert!(used.left_out > 0 && used.bytes <= small, "{used:?}");
    });
    let folder = place.root().join(&teacher("a")[..16]);
    assert_eq!(segments(&folder).len(), 1);
    place.with(&teacher("b"), 64, |_| {});
    assert_eq!(segments(&folder).len(), 0, "the older teacher had to go");
}

#[test]
fn a_second_process_reads_but_does_not_add() {
    let place = Place::new();
    place.with(&teacher("a"), ROOMY, |first| {
        place.answers(first, &[0.1]);
        first.keep().unwrap();
        place.with(&teacher("a"), ROOMY, |second| {
            place.asked();
            place.answers(second, &[0.1, 0.2]);
            assert_eq!(place.asked(), 1);
            second.keep().unwrap();
        });
    });
    assert_eq!(segments(&place.root().join(&teacher("a")[..16])).len(), 1);
}
