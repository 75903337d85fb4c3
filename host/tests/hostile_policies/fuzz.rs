//! Damaged components: whatever is done to the bytes, the loader refuses them or the sandbox holds them; nothing panics.

use std::time::{Duration, Instant};

use limbeck::policy::{Limits, Policy, Sandbox, When};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::guest::{Guest, REPLY, batch, env, memory, open, quiet};

/// How long to go on: a moment, unless the variable asks for more, such as `LIMBECK_FUZZ_SECONDS=600`.
fn duration() -> Duration {
    let seconds = std::env::var("LIMBECK_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

/// One thing done to a file. Places and lengths are relative to it.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Bytes from one place, written over those at another.
    Copy(Index, Index, usize),
    /// The same, put in between.
    Repeat(Index, usize),
    /// A number of LEB128 made huge.
    Huge(Index),
    Cut(Index),
    /// The rest of another file.
    Splice(usize, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        6 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        6 => (place(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (place(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (place(), 1_usize..40).prop_map(|(at, length)| Damage::Remove(at, length)),
        2 => (place(), place(), 1_usize..80).prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
        2 => (place(), 1_usize..80).prop_map(|(at, length)| Damage::Repeat(at, length)),
        1 => place().prop_map(Damage::Huge),
        1 => place().prop_map(Damage::Cut),
        1 => (any::<usize>(), place()).prop_map(|(other, at)| Damage::Splice(other, at)),
    ]
}

/// Whole components to begin with.
fn seeds() -> Vec<Vec<u8>> {
    let weighing = Guest::weighing(&[0, 4096, 2], &[1.0, 3.0]);
    let asking = Guest::new().with("main", r#"(data (i32.const 4096) "teacher.max-prob")"#).with(
        "weigh",
        &format!("(call $f32s (local.get $batch) (i32.const 4096) (i32.const 16) (i32.const 0) (i32.const 2) (i32.const 1024)) {REPLY}"),
    );
    let scoring = Guest::new().with("main", &memory(&[0, 4096, 2, 0, 0], &[1.0, -3.0])).with("score", REPLY);
    let drawing = Guest::new().with("init", "(call $random (i32.const 9) (i32.const 1024)) (i32.const 0)");
    let reaching = Guest::new()
        .with("imports", r#"(import "wasi:sockets/tcp@0.2.6" (instance $tcp (export "connect" (func))))"#)
        .with("lowered", r#"(core func $connect (canon lower (func $tcp "connect")))"#)
        .with("given", r#"(export "connect" (func $connect))"#)
        .with("main", r#"(import "" "connect" (func $connect))"#)
        .with("weigh", &format!("(call $connect) {REPLY}"));
    [weighing, asking, scoring, drawing, reaching].iter().map(Guest::bytes).collect()
}

fn damaged(seeds: &[Vec<u8>], which: usize, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = seeds[which % seeds.len()].clone();
    for damage in damages {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        let at = |index: &Index| index.index(length);
        let slice = |from: usize, size: usize| from..(from + size).min(length);
        match damage {
            Damage::Replace(index, byte) => bytes[at(index)] = *byte,
            Damage::Flip(index, bit) => bytes[at(index)] ^= 1 << bit,
            Damage::Insert(index, new) => drop(bytes.splice(at(index)..at(index), new.iter().copied())),
            Damage::Remove(index, size) => drop(bytes.drain(slice(at(index), *size))),
            Damage::Copy(from, to, size) => {
                let source = bytes[slice(at(from), *size)].to_vec();
                bytes.splice(slice(at(to), source.len()), source);
            }
            Damage::Repeat(index, size) => {
                let source = bytes[slice(at(index), *size)].to_vec();
                bytes.splice(at(index)..at(index), source);
            }
            Damage::Huge(index) => drop(bytes.splice(slice(at(index), 1), [0xff, 0xff, 0xff, 0xff, 0x0f])),
            Damage::Cut(index) => bytes.truncate(at(index)),
            Damage::Splice(other, index) => {
                let other = &seeds[other % seeds.len()];
                let from = at(index).min(other.len());
                bytes.truncate(at(index));
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

/// Everything that a run does with a policy, whatever comes of it.
fn use_up(policy: &Policy) {
    let limits = Limits { fuel: 1_000_000, memory: 4 << 20, time: Duration::from_secs(20) };
    let Ok(mut instance) = policy.start(&env(), 0, &limits, quiet()) else { return };
    let _ = instance.weigh(batch(2), When::default());
    let _ = instance.score(batch(2), When::default());
    let _ = instance.select(batch(2), 1, When::default());
    let _ = instance.plan(3, 3, 0, "{}");
    let _ = instance.save().and_then(|state| instance.restore(1, &state));
}

#[test]
fn a_damaged_component_never_panics() {
    let (seeds, began, duration) = (seeds(), Instant::now(), duration());
    let sandbox = Sandbox::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    let strategy = (any::<usize>(), prop::collection::vec(damage(), 1..6));
    let (mut cases, mut opened) = (0_u64, 0_u64);
    while began.elapsed() < duration {
        let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
        let count = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        TestRunner::new(config)
            .run(&strategy, |(which, damages)| {
                std::fs::write(&path, damaged(&seeds, which, &damages)).unwrap();
                count.0.set(count.0.get() + 1);
                if let Ok(policy) = Policy::open(&sandbox, &path) {
                    count.1.set(count.1.get() + 1);
                    use_up(&policy);
                }
                Ok(())
            })
            .unwrap();
        cases += count.0.get();
        opened += count.1.get();
    }
    println!("{cases} damaged components in {} s, of which {opened} opened all the same", began.elapsed().as_secs());
    assert!(opened > 0 && opened < cases, "{opened} of {cases} opened: the damage is too much, or none");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let component = [b"\0asm\x0d\0\x01\0".as_slice(), &bytes].concat();
        open(&bytes).map(drop).unwrap_err();
        open(&component).map(drop).unwrap_err();
    }
}
