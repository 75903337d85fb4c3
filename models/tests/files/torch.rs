//! PyTorch's files: what PyTorch wrote is read as it was (`tests/golden/make_torch_files.py`), and what nobody should have
//! written is refused in words.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use limbeck_models::{checkpoint, torch, weights};
use proptest::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/torch")
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn same(found: &Tensor, expected: &Tensor) -> bool {
    let flat = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    found.dims() == expected.dims() && found.dtype() == expected.dtype() && flat(found) == flat(expected)
}

#[test]
fn files_of_pytorch_are_read_bit_for_bit() {
    let expected = checkpoint::load(&folder().join("expected.safetensors")).unwrap().tensors;
    for name in ["plain", "wrapped", "nested", "parameters", "kinds"] {
        let wanted: Vec<_> =
            expected.iter().filter_map(|(key, t)| Some((key.strip_prefix(name)?.strip_prefix('/')?, t))).collect();
        for form in ["zip", "legacy"] {
            let found = weights::load(&folder().join(format!("{name}-{form}.pth"))).unwrap().tensors;
            let keys: Vec<_> = found.keys().map(String::as_str).collect();
            assert_eq!(keys, wanted.iter().map(|entry| entry.0).collect::<Vec<_>>(), "{name}-{form}");
            for (key, tensor) in &wanted {
                assert!(same(&found[*key], tensor), "{name}-{form}: `{key}` is {:?}, expected {tensor:?}", found[*key]);
            }
        }
    }
}

/// A program of the old format, without storages.
fn bare(program: &[u8]) -> Vec<u8> {
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [&head[..], program, b"\x80\x02]."].concat()
}

/// The same with one storage `0` of four f32.
fn legacy(program: &[u8]) -> Vec<u8> {
    let mut file = bare(program);
    file.truncate(file.len() - 1);
    file.extend_from_slice(b"(X\x01\0\0\x000e.");
    file.extend_from_slice(&4_u64.to_le_bytes());
    file.extend([1.0_f32, 2.0, 3.0, 4.0].into_iter().flat_map(f32::to_le_bytes));
    file
}

fn number(value: i64) -> Vec<u8> {
    [b"\x8a\x08", &value.to_le_bytes()[..]].concat()
}

/// `{"w": tensor}` with these numbers in place of honest ones.
fn one_tensor(elements: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let tuple = |values: &[i64]| {
        [b"(".to_vec(), values.iter().flat_map(|&value| number(value)).collect(), b"t".to_vec()].concat()
    };
    let storage =
        [&b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"[..], &number(elements), b"tQ"]
            .concat();
    let arguments = [b"(".to_vec(), storage, number(offset), tuple(shape), tuple(strides), b"\x89}t".to_vec()].concat();
    let program = [&b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n"[..], &arguments, b"Rs."].concat();
    legacy(&program)
}

#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let Err(error) = torch::parse(bytes, "evil.pth") else { panic!("it was read, expected `{part}`") };
    let message = error.to_string();
    assert!(message.starts_with("`evil.pth` can't be read as a file of PyTorch's: "), "{message}");
    assert!(message.contains(part), "expected `{part}`, found: {message}");
    assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
}

#[test]
fn an_honest_tensor_passes() {
    let found = torch::parse(&one_tensor(4, 0, &[2, 2], &[1, 2]), "honest.pth").unwrap();
    assert_eq!(found["w"].to_vec2::<f32>().unwrap(), [[1.0, 3.0], [2.0, 4.0]]);
}

#[test]
fn what_is_not_finite_is_refused_with_its_tensor() {
    let mut bytes = one_tensor(4, 0, &[2, 2], &[2, 1]);
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    let message = weights::parse(&bytes, "a.pth").err().unwrap().to_string();
    assert!(message.starts_with("`a.pth` holds -inf in tensor `w`: it is damaged"), "{message}");
}

#[test]
fn nothing_is_executed_and_the_refusal_names_what_was_asked_for() {
    refused(&legacy(b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."), "a `os.system`, which is not a tensor");
    refused(&legacy(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."), "`builtins.eval`");
    refused(&legacy(b"\x80\x02cos\x1b[31m\nsystem\n."), "os\\u{1b}[31m.system");
    refused(&legacy(b"\x80\x02i__builtin__\nexec\n."), "opcode 0x69");
    refused(&legacy(b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R."), "a list belongs");
    refused(&legacy(b"\x80\x02K\x01)R."), "calls something that is no function");
    refused(&legacy(b"\x80\x02ctorch\nFloatStorage\n)\x81."), "0 arguments");
    refused(&bytes_of("whole-model.pth"), "`torch.nn.modules.container.Sequential`");
    refused(&bytes_of("whole-model.pth"), "torch.save(model.state_dict(), FILE)");
    refused(&bytes_of("script.pt"), "TorchScript archive");
    refused(&bytes_of("no-tensors.pth"), "no tensors by name; it has `note`");
}

#[test]
fn sizes_that_lie_are_caught_before_memory_is_taken() {
    refused(
        &one_tensor(4, 0, &[3, 2], &[2, 1]),
        "tensor `w`: its shape [3, 2] reaches beyond its storage of 4 elements",
    );
    refused(&one_tensor(4, 1, &[2, 2], &[2, 1]), "reaches beyond");
    refused(&one_tensor(1 << 40, 0, &[1 << 40], &[1]), "far more than the file's");
    refused(&one_tensor(1 << 40, 0, &[8], &[1 << 36]), "claims 1099511627776 elements, the file has 16 bytes for it");
    refused(&one_tensor(i64::MAX, 0, &[2, 2], &[i64::MAX, i64::MAX]), "reaches beyond");
    refused(&one_tensor(4, 0, &[i64::MAX, i64::MAX, 2], &[0, 0, 0]), "reaches beyond");
    refused(&one_tensor(4, 0, &[0, 1 << 40, 1 << 40], &[0, 0, 0]), "reaches beyond");
    refused(&one_tensor(4, 0, &[1 << 40, 1 << 40, 0], &[0, 0, 0]), "reaches beyond");
    refused(&one_tensor(4, 0, &[1000, 1000, 1000], &[0, 0, 0]), "far more than the file's");
    refused(&one_tensor(4, 0, &[-1], &[1]), "negative");
    refused(&one_tensor(4, 0, &[2], &[-1]), "negative");
    refused(&one_tensor(4, -1, &[2], &[1]), "negative");
    refused(&one_tensor(-4, 0, &[2], &[1]), "negative");
    refused(&one_tensor(4, 0, &[2], &[1, 1]), "1 dimensions and 2 strides");
    refused(&one_tensor(4, 0, &[1; 40], &[1; 40]), "40 dimensions");
    refused(&legacy(b"\x80\x02X\xff\xff\xff\xffw."), "cut off");
    refused(&legacy(b"\x80\x02\x8b\xff\xff\xff\xff."), "negative");
    refused(&legacy(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "cut off");
}

#[test]
fn broken_programs_are_refused() {
    for (program, part) in [
        (&b"\x80\x02."[..], "more from the stack than there is"),
        (b"\x80\x02t.", "a mark that is not there"),
        (b"\x80\x02}(K\x01u.", "a key without a value"),
        (b"\x80\x02h\x07.", "recalls 7"),
        (b"\x80\x02](0.", "more from the stack"),
        (b"\x80\x02K\x01Q.", "a tuple belongs"),
        (b"\x80\x02]K\x01b.", "attributes"),
        (b"\x80\x02].", "no dictionary"),
        (b"\x80\x02}q\0X\x05\0\0\0modelh\0s.", "no tensors by name"), // a dictionary that holds itself
    ] {
        refused(&bare(program), part);
    }
}

/// Wherever a file is cut, it is refused; a zip archive's directory stands at its end.
#[test]
fn files_cut_short_are_refused() {
    for name in ["plain-legacy.pth", "plain-zip.pth"] {
        let whole = bytes_of(name);
        for length in 0..whole.len() {
            let cut = &whole[..length];
            let Err(error) = torch::parse(cut, "cut.pth") else {
                panic!("{name} was read from its first {length} bytes")
            };
            // As downloads that broke off are; the first bytes alone are hardly of any format.
            let said = error.to_string().contains("cut off");
            assert!(said || length < 64, "{name}, {length} bytes: {error}");
        }
    }
}

/// Every place where the archive says how a member is packed says "deflated" instead.
#[test]
fn compressed_members_are_refused() {
    let mut bytes = bytes_of("plain-zip.pth");
    for (mark, at) in [(&b"PK\x03\x04"[..], 8), (b"PK\x01\x02", 10)] {
        let places: Vec<_> = (0..bytes.len() - 4).filter(|&i| bytes[i..].starts_with(mark)).collect();
        places.into_iter().for_each(|place| bytes[place + at] = 8);
    }
    assert!(torch::parse(&bytes, "bomb.pth").is_err());
}

#[test]
fn a_damaged_member_is_noticed() {
    let mut bytes = bytes_of("plain-zip.pth");
    let weights =
        checkpoint::load(&folder().join("expected.safetensors")).unwrap().tensors["plain/3.bias"].to_vec1::<f32>();
    let needle: Vec<u8> = weights.unwrap().into_iter().flat_map(f32::to_le_bytes).collect();
    let at = (0..bytes.len() - needle.len()).find(|&i| bytes[i..].starts_with(&needle)).unwrap();
    bytes[at] ^= 1;
    refused(&bytes, "is damaged");
}

fn mutated(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let whole = bytes_of(name);
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    prop::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut bytes = whole.clone();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Read or refused, never a panic.
    #[test]
    fn damaged_files_never_panic(
        bytes in prop_oneof![mutated("kinds-legacy.pth"), mutated("kinds-zip.pth"), mutated("wrapped-legacy.pth")],
    ) {
        if let Ok(tensors) = torch::parse(&bytes, "damaged.pth") {
            let held: usize = tensors.values().map(Tensor::elem_count).sum();
            prop_assert!(held <= bytes.len() + (1 << 17));
        }
    }
}
