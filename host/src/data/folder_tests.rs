//! Folders of PNGs, good and bad.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn image(channels: usize, height: usize, width: usize, start: u8) -> Image {
    let pixels = (0..channels * height * width).map(|i| start.wrapping_add(i as u8)).collect();
    Image { channels, height, width, pixels }
}

fn put(dir: &TempDir, name: &str, bytes: &[u8]) {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn two_classes() -> TempDir {
    let dir = TempDir::new().unwrap();
    put(&dir, "cat/b.png", &image(3, 4, 5, 7).to_png().unwrap());
    put(&dir, "cat/a.png", &image(3, 4, 5, 0).to_png().unwrap());
    put(&dir, "dog/a.png", &image(3, 4, 5, 99).to_png().unwrap());
    put(&dir, ".cache/x", b"hidden");
    put(&dir, "README", b"beside the classes");
    dir
}

#[track_caller]
fn refused(dir: &TempDir, classes: usize, part: &str) {
    let message = load(dir.path(), classes).expect_err("should be refused").to_string();
    assert!(message.contains(part), "{message:?} does not contain {part:?}");
}

#[test]
fn classes_are_subfolders_in_name_order() {
    let data = load(two_classes().path(), 2).unwrap();
    assert_eq!((data.labels.as_slice(), data.channels, data.height, data.width), (&[0, 0, 1][..], 3, 4, 5));
    let firsts = (0..3).map(|i| data.image(i)[0]).collect::<Vec<_>>();
    assert_eq!(firsts, [0, 7, 99]);
    assert_eq!(data.image(1), image(3, 4, 5, 7).pixels);
}

#[test]
fn bad_folders_are_refused_by_name() {
    refused(
        &two_classes(),
        3,
        "2 subfolders (cat, dog), but there are 3 classes: there must be one a class, see `data.classes`",
    );
    refused(&TempDir::new().unwrap(), 2, "0 subfolders (none)");
    let dir = two_classes();
    put(&dir, "dog/b.png", &image(3, 5, 4, 0).to_png().unwrap());
    refused(&dir, 2, "dog/b.png`: is 5 high and 4 wide with 3 channels, but");
    put(&dir, "dog/b.png", b"GIF89a");
    refused(&dir, 2, "dog/b.png`: is not a PNG: take it out, or set `data.size`");
    put(&dir, "dog/b.png", &image(3, 4, 5, 0).to_png().unwrap()[..60]);
    refused(&dir, 2, "dog/b.png`: is not a whole PNG image");
    std::fs::remove_dir_all(dir.path().join("dog")).unwrap();
    std::fs::create_dir_all(dir.path().join("dog/inner")).unwrap();
    refused(&dir, 2, "dog/inner`: is not a file");
    std::fs::remove_dir(dir.path().join("dog/inner")).unwrap();
    refused(&dir, 2, "dog`: the folder of this class is empty");
}

#[test]
fn both_splits_number_their_classes_alike() {
    use crate::data::{Split, Stream, load};
    use crate::plan::{DataPlan, Files, Format};
    use crate::progress::{Mode, Progress};
    let (train, test) = (two_classes(), two_classes());
    let quiet = Progress::new(Mode::Quiet);
    let files = |dir: &TempDir| Some(Files::Folder { path: dir.path().into() });
    let data = |size| DataPlan {
        format: Format::Folder,
        classes: 2,
        size,
        channels: 3,
        train: files(&train),
        test: files(&test),
    };
    load(&data(None), Split::Test, &quiet).unwrap();
    std::fs::rename(test.path().join("dog"), test.path().join("bird")).unwrap();
    let refused =
        [load(&data(None), Split::Test, &quiet).err(), Stream::open(&data(Some(8)), Split::Train, &quiet).err()];
    for message in refused.map(|error| error.unwrap().to_string()) {
        assert!(message.contains("class 0 is the folder `bird`, but in `"), "{message}");
    }
    // Where there are more or fewer, who reads them says so.
    std::fs::create_dir(test.path().join("cow")).unwrap();
    assert!(load(&data(None), Split::Test, &quiet).unwrap_err().to_string().contains("3 subfolders (bird, cat, cow)"));
}

#[test]
fn a_png_that_claims_to_be_huge_is_refused() {
    let mut bytes = image(1, 4, 4, 0).to_png().unwrap();
    bytes[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    assert!(Image::from_png(&bytes).is_err());
}

proptest! {
    #[test]
    fn a_png_survives_the_round_trip(channels in prop_oneof![Just(1usize), Just(3)], h in 1usize..9, w in 1usize..9, start: u8) {
        let before = image(channels, h, w, start);
        prop_assert_eq!(Image::from_png(&before.to_png().unwrap()).unwrap(), before);
    }

    #[test]
    fn a_damaged_png_never_panics(at in 0usize..1000, value: u8, cut in 0usize..1000) {
        let mut bytes = image(3, 8, 8, 3).to_png().unwrap();
        let end = bytes.len();
        bytes[at % end] = value;
        let _ = Image::from_png(&bytes);
        prop_assert!(Image::from_png(&bytes[..cut % end.saturating_sub(12)]).is_err());
    }
}
