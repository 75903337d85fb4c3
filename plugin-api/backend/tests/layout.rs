//! The layout of every published struct: the same in Rust and in C, and the same as when version 1 was published.

use std::mem::offset_of;
use std::process::Command;

use limbeck_backend::abi::{Backend, Exec, Host, Shape, Str};
use limbeck_backend::dlpack::{DLDataType, DLDevice, DLTensor};

/// What version 1.0 published. A new minor version may append fields, which adds lines and raises sizes; no offset changes.
const PUBLISHED: &str = include_str!("abi_v1.txt");

struct Layout {
    c_name: &'static str,
    size: usize,
    align: usize,
    fields: Vec<(&'static str, usize)>,
}

macro_rules! layouts {
    ($($c_name:literal $type:ident { $($field:ident),* })*) => {
        vec![$(Layout {
            c_name: $c_name,
            size: size_of::<$type>(),
            align: align_of::<$type>(),
            fields: vec![$((stringify!($field), offset_of!($type, $field))),*],
        }),*]
    };
}

fn layouts() -> Vec<Layout> {
    layouts! {
        "DLDevice" DLDevice { device_type, device_id }
        "DLDataType" DLDataType { code, bits, lanes }
        "DLTensor" DLTensor { data, device, ndim, dtype, shape, strides, byte_offset }
        "limbeck_str" Str { ptr, len }
        "limbeck_host" Host {
            struct_size, abi_minor, ctx, log, cancelled, plugin_dir, max_threads, reserved, device
        }
        "limbeck_exec" Exec { struct_size, reserved, device, stream, flags }
        "limbeck_shape" Shape { ndim, dtype, dims }
        "limbeck_backend" Backend {
            struct_size, abi_minor, manifest_json, create, destroy, describe, shapes, run, last_error
        }
    }
}

fn in_rust() -> String {
    let lines = layouts().into_iter().flat_map(|layout| {
        let fields = layout.fields.into_iter().map(move |(name, at)| format!("{}.{name} {at}\n", layout.c_name));
        std::iter::once(format!("{} size {} align {}\n", layout.c_name, layout.size, layout.align)).chain(fields)
    });
    lines.collect()
}

/// The same listing by a C program, compiled against the header by the system's compiler.
fn in_c() -> String {
    let mut source = "#include <limbeck_backend.h>\n#include <stdio.h>\nint main(void) {\n".to_owned();
    for Layout { c_name, fields, .. } in layouts() {
        source += &format!("printf(\"{c_name} size %zu align %zu\\n\", sizeof({c_name}), _Alignof({c_name}));\n");
        for (field, _) in fields {
            source += &format!("printf(\"{c_name}.{field} %zu\\n\", offsetof({c_name}, {field}));\n");
        }
    }
    run(&(source + "return 0;\n}\n"), "c11")
}

fn run(source: &str, standard: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (file, program) = (folder.path().join("layout.c"), folder.path().join("layout"));
    std::fs::write(&file, source).unwrap();
    let compiled = Command::new("cc")
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg("-o")
        .args([&program, &file])
        .output()
        .expect("a C compiler `cc` is needed by this test");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap()
}

#[test]
fn c_and_rust_agree() {
    assert_eq!(in_rust(), in_c());
}

#[test]
#[cfg(target_pointer_width = "64")]
fn nothing_published_has_moved() {
    assert_eq!(in_rust(), PUBLISHED, "version 1 plugins exist: append, never move or remove");
}

#[test]
fn the_header_lists_the_numbers_of_this_crate() {
    use limbeck_backend::abi;
    let numbers = [
        ("LIMBECK_ABI_MAJOR", abi::MAJOR as usize),
        ("LIMBECK_ABI_MINOR", abi::MINOR as usize),
        ("LIMBECK_MAX_DIMS", abi::MAX_DIMS),
        ("LIMBECK_OK", abi::OK as usize),
        ("LIMBECK_FAILED", abi::FAILED as usize),
        ("LIMBECK_UNSUPPORTED", abi::UNSUPPORTED as usize),
        ("LIMBECK_INVALID", abi::INVALID as usize),
        ("LIMBECK_CANCELLED", abi::CANCELLED as usize),
        ("LIMBECK_POISONED", abi::POISONED as usize),
        ("LIMBECK_OP_CLASSIFY", abi::OP_CLASSIFY as usize),
        ("LIMBECK_OP_DENOISE", abi::OP_DENOISE as usize),
        ("LIMBECK_OP_VJP", abi::OP_VJP as usize),
        ("LIMBECK_LOG_ERROR", limbeck_backend::Level::Error as usize),
        ("LIMBECK_LOG_DEBUG", limbeck_backend::Level::Debug as usize),
        ("kDLCPU", limbeck_backend::dlpack::CPU as usize),
        ("kDLCUDA", limbeck_backend::dlpack::CUDA as usize),
        ("kDLFloat", DLDataType::F32.code as usize),
        ("kDLInt", DLDataType::I64.code as usize),
    ];
    let mut source = "#include <limbeck_backend.h>\n".to_owned();
    for (name, value) in numbers {
        source += &format!("_Static_assert({name} == {value}, \"{name}\");\n");
    }
    run(&(source + "int main(void) { return 0; }\n"), "c11");
}
