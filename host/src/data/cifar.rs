//! The binary form of CIFAR-10 and CIFAR-100: records of one or two label bytes and 32x32 pixels, plane by plane.
//!
//! Format: <https://www.cs.toronto.edu/~kriz/cifar.html>. A CIFAR-100 record opens with the coarse label (one of 20),
//! which is skipped, then the fine one.

use std::path::PathBuf;

use super::source::Source;
use super::{Dataset, MAX_BYTES};
use crate::{Error, Result};

const CHANNELS: usize = 3;
const SIDE: usize = 32;
const PIXELS: usize = CHANNELS * SIDE * SIDE;

/// Reads CIFAR files, one after the other. `classes = 100` means CIFAR-100 records, anything else CIFAR-10 records.
pub(super) fn load(files: &[PathBuf], classes: usize) -> Result<Dataset> {
    if files.is_empty() {
        return Err(Error::input("the recipe lists no CIFAR file: add paths to `files`"));
    }
    let mut all = Dataset { images: Vec::new(), labels: Vec::new(), channels: 3, height: SIDE, width: SIDE, classes };
    for path in files {
        read(&mut Source::open(path)?, label_bytes(classes), &mut all)?;
    }
    Ok(all)
}

/// How many label bytes a record opens with; the last one is the class.
fn label_bytes(classes: usize) -> usize {
    if classes == 100 { 2 } else { 1 }
}

/// Appends the records of one file to `all`.
fn read(source: &mut Source, label_bytes: usize, all: &mut Dataset) -> Result<()> {
    let mut record = vec![0; label_bytes + PIXELS];
    loop {
        let start = source.offset();
        let got = source.fill(&mut record)?;
        if got == 0 && start > 0 {
            return Ok(());
        }
        if got < record.len() {
            let reason = format!("a record takes {} bytes, but {got} are left: {}", record.len(), hint(label_bytes));
            return Err(source.error_at(start, reason));
        }
        let label = record[label_bytes - 1];
        if usize::from(label) >= all.classes {
            let reason =
                format!("label {label}, but the recipe says `data.classes = {}`: {}", all.classes, hint(label_bytes));
            return Err(source.error_at(start + label_bytes as u64 - 1, reason));
        }
        if (all.images.len() + PIXELS) as u64 > MAX_BYTES {
            return Err(source.error_at(start, "the files hold more than 8 GiB of pixels"));
        }
        all.labels.push(u32::from(label));
        all.images.extend_from_slice(&record[label_bytes..]);
    }
}

fn hint(label_bytes: usize) -> &'static str {
    match label_bytes {
        1 => "the file is damaged, or of CIFAR-100, which needs `data.classes = 100`",
        _ => "the file is damaged, or of CIFAR-10, which needs `data.classes = 10`",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn records(labels: &[&[u8]]) -> Vec<u8> {
        labels.iter().enumerate().flat_map(|(i, label)| [*label, &[i as u8; PIXELS]].concat()).collect()
    }

    fn parse(bytes: &[u8], classes: usize) -> Result<Dataset> {
        let mut all = Dataset { images: vec![], labels: vec![], channels: 3, height: SIDE, width: SIDE, classes };
        let mut source = Source::new("batch".into(), Cursor::new(bytes.to_vec()), bytes.len() as u64)?;
        read(&mut source, label_bytes(classes), &mut all).map(|()| all)
    }

    #[track_caller]
    fn refused(bytes: &[u8], classes: usize, part: &str) {
        let message = parse(bytes, classes).expect_err("should be refused").to_string();
        assert!(message.contains(part), "{message:?} does not contain {part:?}");
    }

    #[test]
    fn both_kinds_of_records_are_read() {
        let ten = parse(&records(&[&[3], &[9]]), 10).unwrap();
        assert_eq!((ten.labels.as_slice(), ten.image(1)), (&[3, 9][..], &[1; PIXELS][..]));
        let hundred = parse(&records(&[&[19, 99], &[0, 4]]), 100).unwrap();
        assert_eq!(hundred.labels, [99, 4]);
    }

    #[test]
    fn damaged_files_are_refused_by_name_and_offset() {
        let good = records(&[&[3], &[9]]);
        refused(&good[..good.len() - 1], 10, "`batch`, byte 3073: a record takes 3073 bytes, but 3072 are left");
        refused(&[&good[..], &[1]].concat(), 10, "`batch`, byte 6146: a record takes 3073 bytes, but 1 are left");
        refused(&records(&[&[3], &[10]]), 10, "`batch`, byte 3073: label 10");
        refused(&records(&[&[3, 100]]), 100, "`batch`, byte 1: label 100");
        refused(&records(&[&[3, 7]]), 10, "needs `data.classes = 100`");
        refused(&[], 10, "`batch`, byte 0: a record takes 3073 bytes, but 0 are left");
        assert!(load(&[], 10).is_err());
        assert!(load(&[PathBuf::from("/no/such/file")], 10).unwrap_err().to_string().contains("`/no/such/file`"));
    }

    proptest! {
        #[test]
        fn only_whole_records_with_known_labels_pass(cut in 0usize..6146, label: u8) {
            let bytes = records(&[&[3], &[label]]);
            let result = parse(&bytes[..cut], 10);
            prop_assert_eq!(result.is_ok(), cut == 3073);
            prop_assert_eq!(parse(&bytes, 10).is_ok(), label < 10);
        }
    }
}
