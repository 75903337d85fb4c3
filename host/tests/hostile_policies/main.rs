//! Guests that mean harm: each ends with a clear error, and the host is sound afterwards. The cases are those of the
//! list in the policy interface.

mod files;
mod fuzz;
mod guest;
mod limits;
mod replies;
mod sameness;

use guest::{Guest, REPLY, batch, env, limits, memory, quiet};
use limbeck::policy::{PolicyError, When};

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
fn a_crashed_policy_is_not_called_again() {
    let mut policy = Guest::new().with("weigh", "(unreachable)").start().unwrap();
    refused!(policy.weigh(batch(2), When::default()), PolicyError::Trap { .. });
    refused!(policy.weigh(batch(2), When::default()), PolicyError::Poisoned { call: "weigh", .. });
    refused!(policy.save(), PolicyError::Poisoned { call: "save", .. });
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
