//! Wherever a training is broken off, it ends with the same bytes.

use super::counting::counting;
use super::teacher::Teacher;
use super::toy::Toy;

/// Checkpoints of every 3 steps fall between updates of every 4.
const AVERAGED: &str = "ema = 0.9\n[distill.optimizer]\nkind = \"sgd\"\nlr = 0.1\nnesterov = true\nclip-norm = 0.5\naccumulate = 4\nwarmup-epochs = 1";

const VARIED: &str = "[distill.augment]\ncrop-padding = 1\nrotate = 5.0\nmixup = 0.4\ncutmix = 0.4";

#[test]
fn ends_with_the_same_bytes_wherever_it_was_broken_off() {
    let whole = Toy::new(VARIED);
    whole.distill(&counting(None)).unwrap();
    let expected = whole.results();
    let names: Vec<_> = expected.keys().map(String::as_str).collect();
    assert!(names.contains(&"checkpoints/real/seed-1/student.safetensors"), "{names:?}");
    assert!(names.contains(&"weights/synthetic-seed-0.json") && names.contains(&"metrics.jsonl"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("state")), "{names:?}");
    for stops in [vec![0], vec![1, 2], vec![3, 3, 11], vec![8, 19]] {
        let toy = Toy::new(VARIED);
        for &stop in &stops {
            assert!(toy.distill(&counting(Some(stop))).unwrap_err().to_string().contains("killed"));
            // A line that was being written.
            toy.run.append_line("metrics.jsonl", "{\"arm\":\"synth").unwrap();
        }
        toy.distill(&counting(None)).unwrap();
        let found = toy.results();
        for (name, bytes) in &expected {
            assert!(found.get(name) == Some(bytes), "{name} differs after stops at {stops:?}");
        }
        assert_eq!(found.len(), expected.len());
    }
}

#[test]
fn what_is_learnt_beside_the_student_is_resumed_and_not_exported() {
    const HINT: &str = "[distill.loss]\nhint = 1.0";
    let whole = Toy::new(HINT);
    let teacher = Teacher::with_features();
    whole.distill_from(&teacher, &counting(None)).unwrap();
    let student = whole.run.join("checkpoints/real/seed-0/student.safetensors");
    let names: Vec<_> = limbeck_models::checkpoint::load(&student).unwrap().tensors.into_keys().collect();
    assert!(names.iter().all(|name| !name.contains("hint")), "{names:?}");
    let broken = Toy::new(HINT);
    broken.distill_from(&teacher, &counting(Some(7))).unwrap_err();
    broken.distill_from(&teacher, &counting(None)).unwrap();
    assert!(broken.results() == whole.results());
}

#[test]
fn averages_and_gradients_that_wait_are_resumed() {
    let whole = Toy::new(AVERAGED);
    whole.distill(&counting(None)).unwrap();
    let (_, accuracy) = whole.last_accuracy("real", 0);
    assert!(accuracy > 0.9, "{accuracy}");
    for stop in [5, 7, 14] {
        let broken = Toy::new(AVERAGED);
        broken.distill(&counting(Some(stop))).unwrap_err();
        broken.distill(&counting(None)).unwrap();
        assert!(broken.results() == whole.results(), "stopped at {stop}");
    }
}
