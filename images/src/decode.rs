//! JPEG, PNG and WebP, told apart by their first bytes.

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

/// Why bytes are no image; completes the sentence "the image …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("is neither JPEG nor PNG nor WebP")]
    Unknown,
    #[error("is {0}x{1} pixels, more than {MAX_SIDE} a side or {MAX_PIXELS} in all")]
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

fn jpeg(bytes: &[u8], channels: Channels) -> Result<Pixels, DecodeError> {
    let damaged = |reason: String| DecodeError::Damaged { kind: "JPEG", reason: one_line(&reason) };
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
    decoder.decode_headers().map_err(|error| damaged(error.to_string()))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| damaged("it has no size".into()))?;
    within_limits(height, width)?;
    let data = decoder.decode().map_err(|error| damaged(error.to_string()))?;
    Pixels::new(channels, height, width, data).ok_or_else(|| damaged("its pixels don't fit its size".into()))
}

fn other(bytes: &[u8], kind: &'static str, format: ImageFormat, channels: Channels) -> Result<Pixels, DecodeError> {
    let damaged = |error: image::ImageError| DecodeError::Damaged { kind, reason: one_line(&error.to_string()) };
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(damaged)?;
    let (height, width) = (height as usize, width as usize);
    within_limits(height, width)?;
    let mut reader = reader();
    let mut limits = Limits::default();
    limits.max_alloc = Some(16 * MAX_PIXELS as u64);
    reader.limits(limits);
    let rgb = reader.decode().map_err(damaged)?.to_rgb8().into_raw();
    let data = match channels {
        Channels::Rgb => rgb,
        Channels::Grey => rgb.chunks_exact(3).map(luma).collect(),
    };
    let empty = || DecodeError::Damaged { kind, reason: "it has no pixels".into() };
    Pixels::new(channels, height, width, data).ok_or_else(empty)
}

/// A decoder's words as a part of a sentence: some end with a stop or a line's end.
fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

fn within_limits(height: usize, width: usize) -> Result<(), DecodeError> {
    if height.max(width) > MAX_SIDE || height * width > MAX_PIXELS {
        return Err(DecodeError::TooLarge(width, height));
    }
    Ok(())
}
