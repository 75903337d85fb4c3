//! What is the same every time, on any number of threads and after a resume.

use limbeck::policy::{Limits, PolicyError, When};

use crate::guest::{Guest, REPLY, batch, env, limits, memory, quiet};
use crate::refused;

#[test]
fn fuel_is_spent_at_the_same_step_every_time() {
    let fuel = || {
        let mut policy = Guest::weighing(&[0, 4096, 2], &[1.0, 3.0]).start().unwrap();
        policy.weigh(batch(2), When::default()).unwrap();
        policy.usage().fuel
    };
    assert_eq!(fuel(), fuel());
}

#[test]
fn fuel_runs_out_at_the_same_call_every_time() {
    // Each call burns more than the one before it.
    let burn = "(i32.store (i32.const 8192) (i32.add (i32.load (i32.const 8192)) (i32.const 1000)))
      (local.set $i (i32.load (i32.const 8192)))
      (loop $again (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $again (local.get $i)))";
    let guest =
        Guest::new().with("main", &memory(&[0, 4096, 2], &[1.0, 3.0])).with("weigh", &format!("{burn} {REPLY}"));
    let policy = guest.open().unwrap();
    let limits = Limits { fuel: 100_000, ..limits() };
    let last = || {
        let mut instance = policy.start(&env(), 0, &limits, quiet()).unwrap();
        let failed = (0..1000).find(|&step| instance.weigh(batch(2), When { step, ..When::default() }).is_err());
        failed.expect("it runs out at last")
    };
    let first = last();
    assert!(first > 3, "{first}");
    assert!((0..3).all(|_| last() == first));
}

#[test]
fn random_numbers_are_capped_and_the_same_for_the_same_seed() {
    let ask = |n: u32| {
        Guest::new().with("init", &format!("(call $random (i32.const {}) (i32.const 1024)) (i32.const 0)", n as i32))
    };
    ask(100).start().unwrap();
    refused!(ask(u32::MAX).start(), PolicyError::Trap { message, .. } if message.contains("random numbers"));

    // Weights from random bits: exponent forced to 1.0..2.0.
    let draw = "(call $random (i32.const 1) (i32.const 2048))
      (i32.store (i32.const 4096) (i32.or (i32.const 0x3f800000) (i32.and (i32.const 0x7fffff) (i32.load (i32.load (i32.const 2048))))))
      (f32.store (i32.const 4100) (f32.const 1))";
    let guest = Guest::new().with("main", &memory(&[0, 4096, 2], &[])).with("weigh", &format!("{draw} {REPLY}"));
    let policy = guest.open().unwrap();
    let weights = |seed: u64, steps: &[u64]| {
        let mut instance = policy.start(&env(), seed, &limits(), quiet()).unwrap();
        let weigh = |step: &u64| instance.weigh(batch(2), When { step: *step, ..When::default() }).unwrap()[0];
        steps.iter().map(weigh).collect::<Vec<_>>()
    };
    let whole = weights(1, &[0, 1, 2]);
    assert_eq!(whole, weights(1, &[0, 1, 2]));
    assert_eq!(whole[2..], weights(1, &[2]), "a resumed run draws what the whole one drew");
    assert!(whole[0] != whole[1] && whole != weights(2, &[0, 1, 2]));
}

/// Draws random numbers, reads a column and keeps count: everything that a result could hang on.
fn busy() -> Guest {
    let work = "(local.set $n (i32.const 0))
      (call $f32s (local.get $batch) (i32.const 5000) (i32.const 16) (i32.const 0) (i32.const 2) (i32.const 2048))
      (call $random (i32.const 3) (i32.const 2064))
      (i32.store (i32.const 4096) (i32.or (i32.const 0x3f800000) (i32.and (i32.const 0x7fffff) (i32.load (i32.load (i32.const 2064))))))
      (f32.store (i32.const 4100) (f32.add (f32.load (i32.load (i32.const 2052))) (f32.load (i32.const 4096))))";
    let name = r#"(data (i32.const 5000) "teacher.max-prob")"#;
    let main = format!("{} {name}", memory(&[0, 4096, 2], &[]));
    Guest::new().with("main", &main).with("weigh", &format!("{work} {REPLY}"))
}

#[test]
fn threads_and_resuming_change_nothing() {
    let policy = busy().open().unwrap();
    let weigh = |steps: std::ops::Range<u64>| {
        let mut instance = policy.start(&env(), 11, &limits(), quiet()).unwrap();
        let step = |step| instance.weigh(batch(2), When { step, ..When::default() }).unwrap();
        let weights: Vec<Vec<f32>> = steps.map(step).collect();
        (weights, instance.usage().fuel)
    };
    let alone = weigh(0..20);
    let crowd: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| weigh(0..20))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(crowd.iter().all(|other| *other == alone), "the same seed on several threads");
    assert_eq!(weigh(13..20).0, alone.0[13..], "taken up in the middle");
    assert_ne!(alone.0[0], alone.0[1]);
}

/// Processors differ in the sign and payload of a NaN that they make, and a guest can look at them.
#[test]
fn a_nan_has_the_same_bits_on_every_machine() {
    let made = "(i32.reinterpret_f32 (f32.div (f32.load (i32.const 0)) (f32.load (i32.const 0))))";
    let look = format!("(f32.store (i32.const 4096) (f32.convert_i32_u (i32.eq (i32.const 0x7fc00000) {made})))");
    let guest =
        Guest::new().with("main", &memory(&[0, 4096, 2], &[0.0, 1.0])).with("weigh", &format!("{look} {REPLY}"));
    assert_eq!(guest.weigh().unwrap(), [1.0, 1.0]);
}
