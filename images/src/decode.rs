//! JPEG, PNG and WebP, told apart by their first bytes.

use std::fmt::Display;
use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::colour::luma;
use super::{Channels, Pixels};

/// The largest height or width of an image that is decoded, in pixels.
const MAX_SIDE: usize = 16_384;

/// The most pixels of an image that is decoded: 64 million, so that a small file can't ask for gigabytes.
const MAX_PIXELS: usize = 1 << 26;

/// As much of an image's beginning as holds the size of most, and as much of its end as tells a whole one; in bytes.
pub(crate) const HEAD: u64 = 16 << 10;
pub(crate) const TAIL: u64 = 12;

/// The last chunk of a PNG, which is always the same.
const PNG_END: [u8; 12] = *b"\0\0\0\0IEND\xaeB`\x82";

/// Why bytes are no image; completes the sentence "the image …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("is neither JPEG nor PNG nor WebP")]
    Unknown,
    #[error("is {0} pixels high and {1} wide, more than {MAX_SIDE} a side or {MAX_PIXELS} in all")]
    TooLarge(usize, usize),
    #[error("is a damaged {kind}: {reason}")]
    Damaged { kind: &'static str, reason: String },
}

/// Decodes an image to grey or colour, whichever it is itself: grey becomes equal channels, colour its luma. Alpha is dropped.
pub fn decode(bytes: &[u8], channels: Channels) -> Result<Pixels, DecodeError> {
    match bytes {
        [0xff, 0xd8, ..] => jpeg(bytes, channels),
        [0x89, b'P', b'N', b'G', ..] => other(bytes, "PNG", ImageFormat::Png, channels),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            other(bytes, "WebP", ImageFormat::WebP, channels)
        }
        _ => Err(DecodeError::Unknown),
    }
}

/// Whether an image of `bytes` bytes begins with a size that is decoded and ends where its format says that it does. `false`
/// means that only decoding tells: in front of the size there may be more than `head` holds, and anything behind the end.
pub(crate) fn looks_whole(head: &[u8], tail: &[u8], bytes: u64) -> bool {
    match head {
        [0xff, 0xd8, ..] => tail.ends_with(&[0xff, 0xd9]) && jpeg_decoder(head, Channels::Rgb).is_ok(),
        [0x89, b'P', b'N', b'G', ..] => tail == PNG_END && size_of(head, "PNG", ImageFormat::Png).is_ok(),
        [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P', ..] => {
            let behind = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            behind + 8 == bytes && size_of(head, "WebP", ImageFormat::WebP).is_ok()
        }
        _ => false,
    }
}

fn jpeg(bytes: &[u8], channels: Channels) -> Result<Pixels, DecodeError> {
    let mut decoder = jpeg_decoder(bytes, channels)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let data = decoder.decode().map_err(|error| damaged("JPEG", error))?;
    Pixels::new(channels, height, width, data).ok_or_else(|| damaged("JPEG", "its pixels don't fit its size"))
}

/// A decoder that has read the headers; height and width are within the limits.
fn jpeg_decoder(bytes: &[u8], channels: Channels) -> Result<JpegDecoder<ZCursor<&[u8]>>, DecodeError> {
    let colours = match channels {
        Channels::Grey => ColorSpace::Luma,
        Channels::Rgb => ColorSpace::RGB,
    };
    let options = DecoderOptions::new_fast()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(colours);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| damaged("JPEG", error))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| damaged("JPEG", "it has no size"))?;
    within_limits(height, width)?;
    Ok(decoder)
}

fn other(bytes: &[u8], kind: &'static str, format: ImageFormat, channels: Channels) -> Result<Pixels, DecodeError> {
    let (height, width) = size_of(bytes, kind, format)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(16 * MAX_PIXELS as u64);
    reader.limits(limits);
    let rgb = reader.decode().map_err(|error| damaged(kind, error))?.to_rgb8().into_raw();
    let data = match channels {
        Channels::Rgb => rgb,
        Channels::Grey => rgb.chunks_exact(3).map(luma).collect(),
    };
    Pixels::new(channels, height, width, data).ok_or_else(|| damaged(kind, "it has no pixels"))
}

/// Height and width from the headers, which are within the limits.
fn size_of(bytes: &[u8], kind: &'static str, format: ImageFormat) -> Result<(usize, usize), DecodeError> {
    let size = ImageReader::with_format(Cursor::new(bytes), format).into_dimensions();
    let (width, height) = size.map_err(|error| damaged(kind, error))?;
    let (height, width) = (height as usize, width as usize);
    within_limits(height, width)?;
    Ok((height, width))
}

/// A decoder's words as a part of a sentence: some end with a stop or a line's end.
fn damaged(kind: &'static str, words: impl Display) -> DecodeError {
    let words = words.to_string();
    let reason = words.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned();
    DecodeError::Damaged { kind, reason }
}

fn within_limits(height: usize, width: usize) -> Result<(), DecodeError> {
    if height.max(width) > MAX_SIDE || height * width > MAX_PIXELS {
        return Err(DecodeError::TooLarge(height, width));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Whole images needn't be decoded to be known as such.
    #[test]
    fn whole_images_look_whole_and_cut_ones_do_not() {
        let looks = |bytes: &[u8]| {
            let (head, tail) = (HEAD.min(bytes.len() as u64) as usize, bytes.len().saturating_sub(TAIL as usize));
            looks_whole(&bytes[..head], &bytes[tail..], bytes.len() as u64)
        };
        for name in ["photo.jpg", "progressive.jpg", "grey.jpg", "full-colour.jpg", "photo.png", "photo.webp"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/images").join(name);
            let bytes = std::fs::read(path).unwrap();
            assert!(looks(&bytes), "{name}");
            for cut in [0, 3, 12, 20, bytes.len() / 2, bytes.len() - 1] {
                assert!(!looks(&bytes[..cut]), "{name} cut to {cut} bytes");
            }
        }
    }
}
