//! Guests that plan, hold on to what is not theirs, or come in crowds; and what is the same every time.

use limbeck::policy::{Draw, Limits, PolicyError, When};

use crate::guest::{Guest, REPLY, batch, env, limits, memory, quiet};
use crate::refused;

/// What comes of a plan of two images of three classes, replied with these words.
fn plan(draws: &[[u32; 6]]) -> Result<Vec<Draw>, PolicyError> {
    let words: Vec<f32> = draws.concat().into_iter().map(f32::from_bits).collect();
    let reply = memory(&[0, 4096, draws.len() as u32], &words);
    Guest::new().with("main", &reply).with("plan", "(i32.const 1024)").start()?.plan(2, 3, 0, "{}")
}

#[test]
fn plans_that_can_not_be_drawn_are_refused() {
    let draw = |class: u32, guidance: f32, steps: u32| [class, guidance.to_bits(), steps, 0, 7, 0];
    let fine = draw(2, 1.5, 20);
    let drawn = plan(&[fine, draw(0, 0.0, 1)]).unwrap();
    assert_eq!((drawn[0].class, drawn[0].guidance, drawn[0].steps, drawn[0].seed), (2, 1.5, 20, 7));
    for bad in [
        draw(3, 1.0, 20),
        draw(u32::MAX, 1.0, 20),
        draw(0, f32::NAN, 20),
        draw(0, 1e30, 20),
        draw(0, -1.0, 20),
        draw(0, 1.0, 0),
        draw(0, 1.0, u32::MAX),
    ] {
        refused!(plan(&[fine, bad]), PolicyError::BadReply { call: "plan", .. });
    }
    for count in [0, 1, 3] {
        refused!(plan(&vec![fine; count]), PolicyError::BadReply { call: "plan", .. });
    }
    refused!(
        Guest::new()
            .with("main", &memory(&[0, 4096, 100_000_000], &[]))
            .with("plan", "(i32.const 1024)")
            .start()
            .unwrap()
            .plan(2, 3, 0, "{}"),
        PolicyError::BadReply { .. } | PolicyError::Trap { .. }
    );
}

#[test]
fn crowds_of_instances_are_refused() {
    let crowd = format!("(core module $Empty) {}", "(core instance (instantiate $Empty)) ".repeat(300));
    let outcome = Guest::new().with("imports", &crowd).start();
    refused!(outcome, PolicyError::Trap { .. } | PolicyError::OutOfMemory { .. } | PolicyError::Invalid { .. });
    let few = format!("(core module $Empty) {}", "(core instance (instantiate $Empty)) ".repeat(100));
    Guest::new().with("imports", &few).start().unwrap();
}

/// Empty tables weigh nothing; a module may have a hundred of them, so that it takes two.
#[test]
fn crowds_of_tables_are_refused() {
    let tables = |count: usize| {
        let module = format!("(core module $Tables {})", "(table 0 funcref) ".repeat(count));
        let twice = format!("{module} {}", "(core instance (instantiate $Tables)) ".repeat(2));
        Guest::new().with("imports", &twice).start()
    };
    tables(30).unwrap();
    refused!(tables(60), PolicyError::Trap { call: "start", .. });
}

#[test]
fn a_failure_inside_an_import_leaves_the_host_sound() {
    let guest = Guest::new()
        .with("main", &memory(&[0, 4096, 2], &[1.0, 3.0]))
        .with("select", &format!("(call $random (i32.const -1) (i32.const 2048)) {REPLY}"))
        .with("weigh", REPLY);
    let policy = guest.open().unwrap();
    let mut broken = policy.start(&env(), 0, &limits(), quiet()).unwrap();
    let mut sound = policy.start(&env(), 0, &limits(), quiet()).unwrap();
    refused!(broken.select(batch(2), 1, When::default()), PolicyError::Trap { .. });
    refused!(broken.weigh(batch(2), When::default()), PolicyError::Poisoned { .. });
    assert_eq!(sound.weigh(batch(2), When::default()).unwrap(), [1.0, 3.0]);
    assert_eq!(
        policy.start(&env(), 0, &limits(), quiet()).unwrap().weigh(batch(2), When::default()).unwrap(),
        [1.0, 3.0]
    );
}

/// Writes down the handle of the first batch, and asks with it in later calls.
#[test]
fn a_batch_from_an_earlier_call_is_not_there() {
    let keep = "(if (i32.eqz (i32.load (i32.const 8192))) (then
           (i32.store (i32.const 8192) (local.get $batch))
           (call $drop (local.get $batch)) (return (i32.const 1024))))
         (call $drop (local.get $batch)) (drop (call $len (i32.load (i32.const 8192)))) (i32.const 1024)";
    let guest = Guest::new().with("main", &memory(&[0, 4096, 2], &[1.0, 3.0])).with("weigh", keep);
    let mut policy = guest.start().unwrap();
    assert_eq!(policy.weigh(batch(2), When::default()).unwrap(), [1.0, 3.0]);
    refused!(policy.weigh(batch(2), When::default()), PolicyError::Trap { .. });
}

#[test]
fn a_message_of_megabytes_is_paid_for_and_shown_short() {
    let shout = |bytes: u32| {
        let (sink, lines) = crate::guest::kept();
        let shout = format!("(call $log (i32.const 1) (i32.const 65536) (i32.const {bytes})) (i32.const 0)");
        let guest = Guest::new().with("memory", "64").with("init", &shout);
        let policy = guest.open().unwrap().start(&env(), 0, &limits(), sink);
        assert!(lines.lock().unwrap().iter().all(|(_, line)| line.chars().count() <= 1001));
        policy
    };
    let policy = shout(900_000).unwrap();
    assert!(policy.usage().fuel > 900_000 / 8, "{:?}", policy.usage());
    refused!(shout(4_000_000), PolicyError::BadReply { call: "init", .. });
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
