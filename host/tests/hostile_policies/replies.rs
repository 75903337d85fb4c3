//! Guests whose replies can't be used.

use limbeck::policy::{Draw, PolicyError, When};

use crate::guest::{Guest, REPLY, batch, memory};
use crate::refused;

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
