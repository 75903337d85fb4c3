//! Guests that mean harm: each ends with a clear error, and the host is sound afterwards. The cases are those of the
//! list in the policy interface.

#[path = "hostile/fuzz.rs"]
mod fuzz;
#[path = "hostile/guest.rs"]
mod guest;
#[path = "hostile/more.rs"]
mod more;

use std::time::{Duration, Instant};

use guest::{Guest, REPLY, batch, env, kept, limits, memory, open, quiet};
use limbeck::policy::{Found, Limits, PolicyError, When};

const FOREVER: &str = "(loop $again (br $again)) (unreachable)";

/// That the result is this error, and that its message names the file.
#[macro_export]
macro_rules! refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {{
        let error = $result.map(drop).expect_err("the guest must be refused");
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        assert!(error.to_string().contains("guest.wasm"), "{error}");
        error
    }};
}

#[test]
fn the_shell_behaves() {
    let mut policy = Guest::weighing(&[0, 4096, 2], &[1.0, 3.0]).start().unwrap();
    assert_eq!(policy.weigh(batch(2), When::default()).unwrap(), [1.0, 3.0]);
    assert_eq!(policy.weigh(batch(2), When::default()).unwrap(), [1.0, 3.0]);
    assert!(policy.usage().fuel > 0 && policy.usage().calls == 5, "{:?}", policy.usage());
}

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
fn fuel_is_spent_at_the_same_step_every_time() {
    let fuel = || {
        let mut policy = Guest::weighing(&[0, 4096, 2], &[1.0, 3.0]).start().unwrap();
        policy.weigh(batch(2), When::default()).unwrap();
        policy.usage().fuel
    };
    assert_eq!(fuel(), fuel());
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
fn an_error_in_words_is_shown_short_and_clean() {
    let text =
        r#"(data (i32.const 1024) "\01\00\00\00\00\10\00\00\40\9c\00\00") (data (i32.const 4096) "no \1b[31mred\07")"#;
    let guest = Guest::new().with("main", text).with("weigh", REPLY);
    let error = refused!(guest.weigh(), PolicyError::Refused { call: "weigh", .. }).to_string();
    assert!(error.contains("no  [31mred ") && error.chars().all(|c| !c.is_control()), "{error:?}");
    assert!(error.chars().count() < 2200, "{}", error.len());
}

#[test]
fn a_refusal_leaves_the_policy_alive() {
    let guest = Guest::new().with("main", &memory(&[1, 4096, 4], &[f32::from_le_bytes(*b"busy")])).with("weigh", REPLY);
    let mut policy = guest.start().unwrap();
    for _ in 0..2 {
        refused!(policy.weigh(batch(2), When::default()), PolicyError::Refused { message, .. } if message == "busy");
    }
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
fn bad_pointers_trap() {
    for reply in [
        [0, u32::MAX - 3, 2],    // past the end
        [0, 4096, u32::MAX],     // length overflow
        [0, u32::MAX, u32::MAX], // both
        [0, 4097, 2],            // misaligned
        [7, 4096, 2],            // neither ok nor error
    ] {
        refused!(Guest::weighing(&reply, &[1.0; 8]).weigh(), PolicyError::Trap { .. } | PolicyError::BadReply { .. });
    }
    let out = Guest::new().with("realloc", "(if (local.get $size) (then (return (i32.const -8))))");
    refused!(out.start(), PolicyError::Trap { call: "init", .. });
    let odd = Guest::new().with("weigh", "(call $drop (local.get $batch)) (i32.const 1)");
    refused!(odd.weigh(), PolicyError::Trap { .. });
    let invalid = Guest::new()
        .with("main", r#"(data (i32.const 1024) "\00\10\00\00\02\00\00\00") (data (i32.const 4096) "\ff\fe")"#);
    refused!(invalid.with("describe", "(i32.const 1024)").start(), PolicyError::Trap { call: "describe", .. });
}

#[test]
fn a_crashed_policy_is_not_called_again() {
    let mut policy = Guest::new().with("weigh", "(unreachable)").start().unwrap();
    refused!(policy.weigh(batch(2), When::default()), PolicyError::Trap { .. });
    refused!(policy.weigh(batch(2), When::default()), PolicyError::Poisoned { call: "weigh", .. });
    refused!(policy.save(), PolicyError::Poisoned { call: "save", .. });
}

#[test]
fn loans_end_with_their_call() {
    // Not given back; given back twice; a handle from an earlier call.
    refused!(Guest::new().with("weigh", "(i32.const 0)").weigh(), PolicyError::Trap { .. });
    let twice = "(call $drop (local.get $batch)) (call $drop (local.get $batch)) (i32.const 0)";
    refused!(Guest::new().with("weigh", twice).weigh(), PolicyError::Trap { .. });
    let after = "(call $drop (local.get $batch)) (drop (call $len (local.get $batch))) (i32.const 0)";
    refused!(Guest::new().with("weigh", after).weigh(), PolicyError::Trap { .. });
    let invented = "(call $drop (local.get $batch)) (drop (call $len (i32.const 77))) (i32.const 0)";
    refused!(Guest::new().with("weigh", invented).weigh(), PolicyError::Trap { .. });
}

#[test]
fn wrong_weights_are_refused() {
    for bad in [[f32::NAN, 1.0], [f32::INFINITY, 1.0], [1.0, f32::NEG_INFINITY], [-0.5, 1.0], [0.0, 0.0]] {
        refused!(Guest::weighing(&[0, 4096, 2], &bad).weigh(), PolicyError::BadReply { call: "weigh", .. });
    }
    for length in [0, 1, 3] {
        refused!(Guest::weighing(&[0, 4096, length], &[1.0; 3]).weigh(), PolicyError::BadReply { .. });
    }
    for fine in [[1e38, 1.0], [f32::from_bits(1), 1.0], [0.0, 1.0], [-0.0, 1.0]] {
        assert_eq!(Guest::weighing(&[0, 4096, 2], &fine).weigh().unwrap(), fine);
    }
}

#[test]
fn wrong_scores_and_selections_are_refused() {
    let score = |reply: &[u32], data: &[f32]| {
        let guest = Guest::new().with("main", &memory(reply, data)).with("score", REPLY);
        guest.start().unwrap().score(batch(2), When::default())
    };
    assert_eq!(score(&[0, 4096, 2, 0, 0], &[1.0, -3.0]).unwrap().values, [1.0, -3.0]);
    refused!(score(&[0, 4096, 2, 0, 0], &[f32::NAN, 0.0]), PolicyError::BadReply { .. });
    refused!(score(&[0, 4096, 1, 0, 0], &[0.0]), PolicyError::BadReply { .. });
    refused!(score(&[0, 4096, 2, 4104, 1], &[0.0, 0.0, f32::from_bits(9), 0.0]), PolicyError::BadReply { .. });
    refused!(score(&[0, 4096, 2, 4104, 1], &[0.0, 0.0, f32::from_bits(1), 0.0]), PolicyError::BadReply { .. }); // no reasons

    let select = |rows: &[u32], budget: u32| {
        let rows: Vec<f32> = rows.iter().map(|&row| f32::from_bits(row)).collect();
        let reply = [0, 4096, rows.len() as u32, 0, 0];
        let guest = Guest::new().with("main", &memory(&reply, &rows)).with("select", REPLY);
        guest.start().unwrap().select(batch(4), budget, When::default())
    };
    assert_eq!(select(&[3, 0], 2).unwrap().keep, [3, 0]);
    assert_eq!(select(&[], 2).unwrap().keep, [0_u32; 0]);
    refused!(select(&[4], 2), PolicyError::BadReply { .. });
    refused!(select(&[1, 1], 2), PolicyError::BadReply { .. });
    refused!(select(&[0, 1, 2], 2), PolicyError::BadReply { .. });
    refused!(select(&[u32::MAX], 2), PolicyError::BadReply { .. });
}

#[test]
fn undeclared_columns_and_wrong_rows_are_errors_to_the_guest() {
    // `f32s` leaves its result at 1024: 1 there is an error, which `weigh` passes on.
    let ask = |name: &str, start: u32, rows: u32| {
        let call = format!(
            "(call $f32s (local.get $batch) (i32.const 4096) (i32.const {}) (i32.const {}) (i32.const {}) (i32.const 1024)) {REPLY}",
            name.len(),
            start as i32,
            rows as i32
        );
        Guest::new().with("main", &format!("(data (i32.const 4096) \"{name}\")")).with("weigh", &call).weigh()
    };
    assert_eq!(ask("teacher.max-prob", 0, 2).unwrap(), [1.0 / 3.0; 2]);
    refused!(ask("teacher.logits", 0, 2), PolicyError::Refused { message, .. } if message.contains("`needs`"));
    refused!(ask("teacher.max-prob", u32::MAX, u32::MAX), PolicyError::Refused { .. });
    refused!(ask("teacher.max-prob", 1, 2), PolicyError::Refused { .. });
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

#[test]
fn files_and_sockets_link_and_end_the_call_when_used() {
    let guest = |init: &str| {
        Guest::new()
            .with("imports", r#"(import "wasi:sockets/tcp@0.2.6" (instance $tcp (export "connect" (func))))"#)
            .with("lowered", r#"(core func $connect (canon lower (func $tcp "connect")))"#)
            .with("given", r#"(export "connect" (func $connect))"#)
            .with("main", r#"(import "" "connect" (func $connect))"#)
            .with("init", init)
    };
    guest("(i32.const 0)").start().unwrap();
    let error = refused!(guest("(call $connect) (i32.const 0)").start(), PolicyError::Forbidden { what, .. } if what == "wasi:sockets/tcp#connect");
    assert!(error.to_string().contains("no network"), "{error}");
}

#[test]
fn unknown_imports_and_versions_are_named() {
    let import = |name: &str| Guest::new().with("imports", &format!("(import \"{name}\" (instance))"));
    refused!(import("acme:gpu/compute@1.0.0").open(), PolicyError::UnknownImport { import, .. } if import == "acme:gpu/compute@1.0.0");
    refused!(import("limbeck:policy/pool@0.1.0").open(), PolicyError::UnknownImport { .. });
    let error = refused!(import("limbeck:policy/data@0.2.0").open(), PolicyError::WrongVersion { found, .. } if found == "0.2.0");
    assert!(error.to_string().contains("speaks version 0.2.0") && error.to_string().contains("rebuild it"), "{error}");
    let newer = r#"(export "limbeck:policy/lifecycle@2.0.0" (instance $lifecycle))"#;
    refused!(Guest::new().with("exports", newer).open(), PolicyError::WrongVersion { found, .. } if found == "2.0.0");
    refused!(Guest::new().with("imports", r#"(import "now" (func))"#).open(), PolicyError::UnknownImport { .. });
}

#[test]
fn missing_exports_and_wrong_signatures_are_named() {
    let exports = |text: &str| Guest::new().with("exports", text).open();
    refused!(exports(""), PolicyError::MissingExport { .. });
    let lifecycle = r#"(export "limbeck:policy/lifecycle@0.1.0" (instance $lifecycle))"#;
    let error = refused!(exports(lifecycle), PolicyError::MissingExport { .. });
    assert!(error.to_string().contains("nor selector, weigher or planner"), "{error}");
    let weigher = r#"(export "limbeck:policy/weigher@0.1.0" (instance $weigher))"#;
    refused!(exports(weigher), PolicyError::MissingExport { export, .. } if export == "limbeck:policy/lifecycle");

    // Scorer's functions under weigher's name: `weigh` is not there.
    let swapped = format!("{lifecycle} (export \"limbeck:policy/weigher@0.1.0\" (instance $scorer))");
    refused!(exports(&swapped), PolicyError::WrongSignature { .. });
    let text = Guest::new().text().replace(
        "(result (result (list f32) (error string)))))\n    (export \"[method]batch.gather\"",
        "(result (result (list f64) (error string)))))\n    (export \"[method]batch.gather\"",
    );
    refused!(open(&wat::parse_str(text).unwrap()), PolicyError::WrongSignature { .. });
    let text = Guest::new().text().replace("(field \"state-version\" u32)", "(field \"state-version\" u64)");
    refused!(
        open(&wat::parse_str(text).unwrap()).and_then(|policy| policy.start(&env(), 0, &limits(), quiet())),
        PolicyError::WrongSignature { .. }
    );
}

#[test]
fn other_features_of_webassembly_are_off() {
    // Beside the memory that the interface uses, which has to be a plain one in any case.
    for (memory, why) in [("(memory i64 1)", "64-bit memory"), ("(memory 1 1 shared)", "threads")] {
        let error = refused!(Guest::new().with("memories", memory).open(), PolicyError::Invalid { .. });
        assert!(error.to_string().contains(why), "{error}");
    }
    let relaxed = "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))";
    refused!(Guest::new().with("main", relaxed).open(), PolicyError::Invalid { .. });
    refused!(Guest::new().with("main", "(type (struct (field i32)))").open(), PolicyError::Invalid { .. });
}

#[test]
fn wrong_kinds_of_file_are_told_apart() {
    let kinds: [(&[u8], Found); 4] = [
        (b"\0asm\x01\0\0\0", Found::CoreModule),
        (b"\x7fELF\x02\x01\x01\0", Found::SharedLibrary),
        (b"\x7fELF\x02\x01\x01\xc8", Found::Precompiled),
        (b"(component)", Found::Text),
    ];
    for (bytes, kind) in kinds {
        refused!(open(bytes), PolicyError::NotAComponent { found, .. } if *found == kind);
    }
    refused!(open(&[]), PolicyError::NotAComponent { found: Found::Empty, .. });
}

#[test]
fn a_truncated_component_is_refused_at_every_length() {
    let bytes = Guest::new().bytes();
    open(&bytes).unwrap();
    for length in 0..bytes.len() {
        match open(&bytes[..length]).map(drop) {
            // Only names and the like are left out: custom sections, whose id is 0.
            Ok(()) => assert_eq!(bytes[length], 0, "{length}"),
            // Cut between two sections it is a sound component that lacks something.
            Err(
                PolicyError::NotAComponent { .. } | PolicyError::MissingExport { .. } | PolicyError::Invalid { .. },
            ) => {}
            Err(error) => panic!("{length}: {error:?}"),
        }
    }
}

#[test]
fn two_copies_do_not_see_each_other() {
    // A counter in memory: each copy counts for itself.
    let count = "(i32.store (i32.const 5000) (i32.add (i32.load (i32.const 5000)) (i32.const 1)))
      (f32.store (i32.const 4096) (f32.convert_i32_u (i32.load (i32.const 5000)))) (f32.store (i32.const 4100) (f32.const 1))";
    let guest = Guest::new().with("main", &memory(&[0, 4096, 2], &[])).with("weigh", &format!("{count} {REPLY}"));
    let policy = guest.open().unwrap();
    let mut copies: Vec<_> = (0..2).map(|_| policy.start(&env(), 0, &limits(), quiet()).unwrap()).collect();
    for round in 1..4 {
        for copy in &mut copies {
            assert_eq!(copy.weigh(batch(2), When::default()).unwrap()[0], round as f32);
        }
    }
}
