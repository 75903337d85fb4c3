//! Guests that want too much: fuel, time, stack, memory, words, or company.

use std::time::{Duration, Instant};

use limbeck::policy::{Limits, PolicyError, When};

use crate::guest::{Guest, batch, env, kept, limits, memory, quiet};
use crate::refused;

const FOREVER: &str = "(loop $again (br $again)) (unreachable)";

#[test]
fn endless_loops_run_out_of_fuel_everywhere() {
    let at_start = format!("(func $start {FOREVER}) (start $start)");
    let budget = limits().fuel;
    refused!(Guest::new().with("main", &at_start).start(), PolicyError::OutOfFuel { call: "start", budget: b, .. } if *b == budget);
    refused!(Guest::new().with("describe", FOREVER).start(), PolicyError::OutOfFuel { call: "describe", .. });
    refused!(Guest::new().with("init", FOREVER).start(), PolicyError::OutOfFuel { call: "init", .. });
    refused!(Guest::new().with("realloc", FOREVER).start(), PolicyError::OutOfFuel { call: "init", .. });
    refused!(Guest::new().with("weigh", FOREVER).weigh(), PolicyError::OutOfFuel { call: "weigh", .. });
    let post = Guest::weighing(&[0, 4096, 2], &[1.0, 3.0]).with("post", FOREVER);
    refused!(post.weigh(), PolicyError::OutOfFuel { call: "weigh", .. });
    let mut policy = Guest::new().with("save", FOREVER).start().unwrap();
    refused!(policy.save(), PolicyError::OutOfFuel { call: "save", .. });
}

#[test]
fn a_hang_ends_by_the_clock_when_fuel_does_not() {
    let limits = Limits { fuel: u64::MAX / 2, time: Duration::from_millis(100), ..limits() };
    let policy = Guest::new().with("init", FOREVER).open().unwrap();
    let began = Instant::now();
    refused!(policy.start(&env(), 0, &limits, quiet()), PolicyError::OutOfTime { call: "init", .. });
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_host_is_not_kept_busy_for_nothing() {
    // Each round copies 40 kB for a few instructions of the guest: the copies must cost fuel.
    let ask = r#"(data (i32.const 4096) "teacher.max-prob")"#;
    let greedy = "(loop $again
        (call $f32s (local.get $batch) (i32.const 4096) (i32.const 16) (i32.const 0) (i32.const 10000) (i32.const 1024))
        (br $again)) (unreachable)";
    let reuse = "(if (i32.ge_u (local.get $size) (i32.const 4000)) (then (return (i32.const 65536))))";
    let guest = Guest::new().with("main", ask).with("weigh", greedy).with("realloc", reuse);
    let mut policy = guest.start().unwrap();
    refused!(policy.weigh(batch(10_000), When::default()), PolicyError::OutOfFuel { .. });
    assert!(policy.usage().lent_bytes < 8 * limits().fuel, "{:?}", policy.usage());
}

#[test]
fn endless_recursion_runs_out_of_stack() {
    let deep = "(func $deep (param i64) (result i64) (i64.add (i64.const 1) (call $deep (local.get 0))))";
    let guest = Guest::new().with("main", deep).with("init", "(drop (call $deep (i64.const 0))) (i32.const 0)");
    refused!(guest.start(), PolicyError::OutOfStack { call: "init", .. });
}

#[test]
fn memory_is_counted_over_all_memories_and_tables() {
    let grow = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 0)";
    refused!(Guest::new().with("init", grow).start(), PolicyError::OutOfMemory { call: "init", .. });
    refused!(Guest::new().with("memory", "1000").start(), PolicyError::OutOfMemory { call: "start", .. });
    let many = "(memory 40) (memory 40) (memory 40) (memory 40)"; // 2.5 MiB each, 8 MiB allowed
    refused!(Guest::new().with("memories", many).start(), PolicyError::OutOfMemory { call: "start", .. });
    let tables = "(table 300000 funcref) (table 300000 funcref)"; // 4.6 MiB each
    refused!(Guest::new().with("memories", tables).start(), PolicyError::OutOfMemory { call: "start", .. });
    let table = "(table $t 0 funcref) (func $grow (loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)))))";
    let guest = Guest::new().with("main", table).with("init", "(call $grow) (i32.const 0)");
    refused!(guest.start(), PolicyError::OutOfMemory { .. });
    let memories = "(memory 0) ".repeat(60);
    refused!(
        Guest::new().with("memories", &memories).start(),
        PolicyError::Trap { .. } | PolicyError::OutOfMemory { .. }
    );
}

#[test]
fn peak_memory_is_measured() {
    let policy = Guest::new().with("init", "(drop (memory.grow (i32.const 10))) (i32.const 0)").start().unwrap();
    assert_eq!(policy.usage().peak_memory_bytes, 14 * 65536);
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
fn huge_replies_are_cut_off() {
    // A list of 100 million numbers that isn't there, and one of 4 MB that is.
    refused!(
        Guest::weighing(&[0, 4096, 100_000_000], &[]).weigh(),
        PolicyError::BadReply { .. } | PolicyError::Trap { .. }
    );
    let big = Guest::weighing(&[0, 4096, 1 << 20], &[]).with("memory", "100");
    let error = refused!(big.weigh(), PolicyError::BadReply { .. });
    assert!(error.to_string().contains("far longer"), "{error}");
    let words = Guest::weighing(&[1, 4096, 5 << 20], &[]).with("memory", "100");
    refused!(words.weigh(), PolicyError::BadReply { .. });
    // A state of 20 MiB, which are there: only the cap on states is in its way.
    let state = Guest::new()
        .with("main", &memory(&[0, 4096, 20 << 20], &[]))
        .with("save", "(i32.const 1024)")
        .with("memory", "400");
    let limits = Limits { memory: 64 << 20, ..limits() };
    let mut policy = state.open().unwrap().start(&env(), 0, &limits, quiet()).unwrap();
    refused!(policy.save(), PolicyError::BadReply { call: "save", .. });
}

#[test]
fn a_log_flood_costs_fuel_and_is_cut() {
    let flood = "(loop $again (call $log (i32.const 1) (i32.const 4096) (i32.const 10)) (br $again)) (unreachable)";
    let (sink, lines) = kept();
    let guest = Guest::new().with("main", r#"(data (i32.const 4096) "\1b[2J\1b[1;1H")"#).with("init", flood);
    refused!(guest.open().unwrap().start(&env(), 0, &limits(), sink), PolicyError::OutOfFuel { .. });
    let lines = lines.lock().unwrap();
    assert!(lines.len() <= 1000, "{}", lines.len());
    assert!(lines.iter().all(|(_, line)| line.chars().all(|c| !c.is_control())), "{:?}", lines[0]);
}

#[test]
fn a_message_of_megabytes_is_paid_for_and_shown_short() {
    let shout = |bytes: u32| {
        let (sink, lines) = kept();
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
