//! IDX, the format of MNIST: a big-endian header of magic number and sizes, then bytes.
//!
//! Format: <http://yann.lecun.com/exdb/mnist/>. Images are `00 00 08 03, count, rows, columns, pixels`, labels are
//! `00 00 08 01, count, labels`.

use std::path::Path;

use super::source::Source;
use super::{Dataset, MAX_BYTES, MAX_SIDE};
use crate::Result;

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// Reads a pair of IDX files, each plain or gzipped, as grey images.
pub(super) fn load(images: &Path, labels: &Path, classes: usize) -> Result<Dataset> {
    read(Source::open(images)?, Source::open(labels)?, classes)
}

fn read(mut images: Source, mut labels: Source, classes: usize) -> Result<Dataset> {
    magic(&mut images, IMAGES)?;
    magic(&mut labels, LABELS)?;
    let count = size(&mut images, "the number of images")?;
    let labelled = size(&mut labels, "the number of labels")?;
    if count != labelled {
        return Err(labels.error_at(4, format!("{labelled} labels, but the other file has {count} images")));
    }
    if count == 0 {
        return Err(images.error_at(4, "the file says that it holds no image"));
    }
    let height = side(&mut images, "height")?;
    let width = side(&mut images, "width")?;
    let bytes = count * (height * width) as u64; // below 2^32 * 2^24
    if bytes > MAX_BYTES {
        return Err(images.error_at(
            4,
            format!("{count} images {height} high and {width} wide take {bytes} bytes, more than 8 GiB"),
        ));
    }
    let classified = read_labels(&mut labels, count, classes)?;
    let pixels = images.bytes(bytes, "the pixels")?;
    images.end("the last image")?;
    Ok(Dataset { images: pixels, labels: classified, channels: 1, height, width, classes })
}

fn read_labels(labels: &mut Source, count: u64, classes: usize) -> Result<Vec<u32>> {
    let start = labels.offset();
    let bytes = labels.bytes(count, "the list of labels")?;
    labels.end("the last label")?;
    if let Some(row) = bytes.iter().position(|&label| usize::from(label) >= classes) {
        let reason = format!("label {} of image {row}, but the recipe says `data.classes = {classes}`", bytes[row]);
        return Err(labels.error_at(start + row as u64, reason));
    }
    Ok(bytes.into_iter().map(u32::from).collect())
}

fn magic(source: &mut Source, wanted: u32) -> Result<()> {
    let found = u32::from_be_bytes(source.array("the magic number")?);
    let hint = match (found, wanted) {
        _ if found == wanted => return Ok(()),
        (LABELS, IMAGES) => "this is a file of labels: are `images` and `labels` swapped in the recipe?",
        (IMAGES, LABELS) => "this is a file of images: are `images` and `labels` swapped in the recipe?",
        (0x0000_0800..=0x0000_0eff, _) => "only bytes are read, one dimension for labels and three for images",
        _ => "this is not an IDX file",
    };
    Err(source.error_at(0, format!("the magic number is {found:#010x}, not {wanted:#010x}: {hint}")))
}

fn size(source: &mut Source, what: &str) -> Result<u64> {
    Ok(u64::from(u32::from_be_bytes(source.array(what)?)))
}

fn side(source: &mut Source, what: &str) -> Result<usize> {
    let at = source.offset();
    let value = u32::from_be_bytes(source.array(what)?) as usize;
    if !(1..=MAX_SIDE).contains(&value) {
        return Err(source.error_at(at, format!("the {what} of the images is {value}, not 1 to {MAX_SIDE}")));
    }
    Ok(value)
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
