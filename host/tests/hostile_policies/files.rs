//! Files that are no policy of this host, and imports that it does not give.

use limbeck::policy::{Found, PolicyError};

use crate::guest::{Guest, env, limits, open, quiet};
use crate::refused;

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
