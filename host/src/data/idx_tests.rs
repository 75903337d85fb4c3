//! Pairs of IDX files, whole, damaged and hostile.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::super::source::Source;
use super::*;

fn images_file(count: u32, height: u32, width: u32) -> Vec<u8> {
    let mut bytes = [IMAGES, count, height, width].map(u32::to_be_bytes).concat();
    bytes.extend((0..count * height * width).map(|i| (i * 7 % 251) as u8));
    bytes
}

fn labels_file(labels: &[u8]) -> Vec<u8> {
    let mut bytes = [LABELS, labels.len() as u32].map(u32::to_be_bytes).concat();
    bytes.extend(labels);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn source(name: &str, bytes: &[u8]) -> Source {
    Source::new(name.into(), Cursor::new(bytes.to_vec()), bytes.len() as u64).unwrap()
}

fn parse(images: &[u8], labels: &[u8]) -> Result<Dataset> {
    read(source("images", images), source("labels", labels), 10)
}

#[track_caller]
fn refused(images: &[u8], labels: &[u8], part: &str) {
    let message = parse(images, labels).expect_err("should be refused").to_string();
    assert!(message.contains(part), "{message:?} does not contain {part:?}");
}

#[test]
fn plain_and_gzipped_files_give_the_same_images() {
    let (images, labels) = (images_file(3, 2, 4), labels_file(&[9, 0, 5]));
    let plain = parse(&images, &labels).unwrap();
    assert_eq!((plain.len(), plain.channels, plain.height, plain.width), (3, 1, 2, 4));
    assert_eq!(plain.labels, [9, 0, 5]);
    assert_eq!(plain.image(1), &images[16 + 8..16 + 16]);
    assert_eq!(parse(&gzip(&images), &gzip(&labels)).unwrap(), plain);
}

#[test]
fn inconsistent_files_are_refused_by_name_and_offset() {
    let (images, labels) = (images_file(3, 2, 4), labels_file(&[9, 0, 5]));
    refused(
        &labels,
        &images,
        "`images`, byte 0: the magic number is 0x00000801, not 0x00000803: this is a file of labels",
    );
    refused(b"PK\x03\x04 and so on", &labels, "this is not an IDX file");
    refused(&images, &labels_file(&[1, 2]), "`labels`, byte 4: 2 labels, but the other file has 3 images");
    refused(&images, &labels_file(&[1, 10, 2]), "`labels`, byte 9: label 10 of image 1");
    refused(&[&images[..], &[0]].concat(), &labels, "`images`, byte 40: the file goes on after the last image");
    refused(&images, &[&labels[..], &[0]].concat(), "`labels`, byte 11: the file goes on after the last label");
    refused(&images[..39], &labels, "`images`, byte 16: the pixels should have 24 bytes from here, but 23 are left");
    refused(&images_file(3, 0, 4), &labels, "`images`, byte 8: the height of the images is 0");
    refused(&images_file(0, 2, 4), &labels_file(&[]), "holds no image");
    refused(&[], &labels, "`images`, byte 0: the magic number should have 4 bytes");
    refused(&gzip(&images[..20]), &labels, "byte 16 (decompressed)");
}

/// As `cat` joins gzipped files, and as a broken download does.
#[test]
fn several_gzip_streams_are_one_file_and_anything_else_behind_them_is_refused() {
    let (images, labels) = (images_file(3, 2, 4), labels_file(&[1, 9, 0]));
    let (start, end) = (gzip(&images[..20]), gzip(&images[20..]));
    assert_eq!(parse(&[&start[..], &end].concat(), &labels).unwrap(), parse(&images, &labels).unwrap());
    let damaged = "`images`, byte 40 (decompressed): the gzip stream is damaged: other bytes follow its end";
    for rest in [&b"garbage"[..], &[0; 600]] {
        refused(&[&start[..], &end, rest].concat(), &labels, damaged);
    }
    refused(&[&start[..], &end[..9]].concat(), &labels, "byte 20 (decompressed): the gzip stream is truncated");
}

#[test]
fn a_header_that_claims_more_than_the_file_holds_takes_no_memory() {
    let mut images = images_file(1, 4096, 1);
    images[4..8].copy_from_slice(&500_000_000_u32.to_be_bytes());
    let mut labels = labels_file(&[0]);
    labels[4..8].copy_from_slice(&500_000_000_u32.to_be_bytes());
    refused(&images, &labels, "`images`, byte 4");
    images[8..12].copy_from_slice(&4_u32.to_be_bytes());
    refused(
        &images,
        &labels,
        "`labels`, byte 8: the list of labels should have 500000000 bytes from here, but 1 are left",
    );
    refused(&gzip(&images), &gzip(&labels), "`labels`, byte 8 (decompressed)");
}

#[test]
fn a_gzip_bomb_is_read_no_further_than_its_header_says() {
    let bomb = gzip(&[images_file(1, 2, 2), vec![0; 50_000_000]].concat());
    refused(&bomb, &labels_file(&[0]), "`images`, byte 20 (decompressed): the file goes on after the last image");
}

#[test]
fn the_committed_test_digits_are_whole() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/mnist");
    let digits = load(&dir.join("t10k-images-idx3-ubyte.gz"), &dir.join("t10k-labels-idx1-ubyte.gz"), 10).unwrap();
    assert_eq!((digits.len(), digits.height, digits.width), (10_000, 28, 28));
    assert_eq!(digits.labels[..8], [7, 2, 1, 0, 4, 1, 4, 9]);
    let (batch, labels) = digits.batch(&[0, 9_999]).unwrap();
    assert_eq!(batch.dims(), [2, 1, 28, 28]);
    assert_eq!(labels, [7, 6]);
    assert!(digits.batch(&[10_000]).is_err());
}

proptest! {
    #[test]
    fn every_truncation_is_refused(cut in 0usize..1000, gz: bool, which: bool) {
        let files = [images_file(3, 5, 4), labels_file(&[9, 0, 5])].map(|file| if gz { gzip(&file) } else { file });
        let part = |i: usize| if (i == 1) == which { &files[i][..cut % files[i].len()] } else { &files[i][..] };
        prop_assert!(parse(part(0), part(1)).is_err());
    }

    #[test]
    fn a_changed_byte_never_panics(at in 0usize..1000, value: u8, gz: bool, which: bool) {
        let mut files = [images_file(3, 5, 4), labels_file(&[9, 0, 5])].map(|file| if gz { gzip(&file) } else { file });
        let target = &mut files[usize::from(which)];
        let at = at % target.len();
        target[at] = value;
        if let Ok(data) = parse(&files[0], &files[1]) {
            prop_assert_eq!(data.images.len(), data.len() * data.height * data.width);
            prop_assert!(data.labels.iter().all(|&label| label < 10));
        }
    }

    #[test]
    fn noise_never_panics(images: Vec<u8>, labels: Vec<u8>) {
        prop_assert!(parse(&images, &labels).is_err());
    }
}
