//! One drawn image and where it comes from.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, Limits};
use serde::{Deserialize, Serialize};

use crate::words::image_shape;
use crate::{Error, Result};

/// The largest height or width of an image that is decoded, in pixels.
const MAX_SIDE: u32 = 4096;

/// A grey (1 channel) or RGB (3 channels) image of bytes, plane by plane: `pixels` is `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub pixels: Vec<u8>,
}

/// How a sample was drawn. Together with the generator's weights this is enough to draw it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The class that the generator was asked for.
    pub class: u32,
    /// The scale of classifier-free guidance; 1 is none.
    pub guidance: f32,
    /// How many denoising steps were taken.
    pub steps: u32,
    /// The seed of the run; the noise is the stream `id` of it, unless `stream` names another.
    pub seed: u64,
    /// The seed that a planner gave: the stream of the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<u64>,
    /// `ddpm` or `ddim`.
    pub sampler: String,
    pub round: u32,
    /// The SHA-256 of the generator's weights; empty where a plugin has none.
    pub generator: String,
    /// The SHA-256 of the plugin that denoised; `None` where Limbeck's own DiT did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

#[cfg(test)]
impl Provenance {
    /// For tests to which it does not matter how an image came about.
    pub fn of_class(class: u32) -> Self {
        Self {
            class,
            guidance: 1.0,
            steps: 1,
            seed: 0,
            stream: None,
            sampler: "ddim".into(),
            round: 0,
            generator: String::new(),
            plugin: None,
        }
    }
}

/// A labelled image of the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Unique in a run; names the files in the shard as nine digits.
    pub id: u64,
    pub class: u32,
    pub image: Image,
    pub provenance: Provenance,
}

impl Image {
    /// The PNG of this image. The encoder's settings are fixed, so the same image always gives the same bytes.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let colour = match self.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            other => return Err(Error::failed(format!("an image of {other} channels has no PNG form, only 1 or 3"))),
        };
        let plane = self.height * self.width;
        if plane == 0 || self.pixels.len() != self.channels * plane {
            let shape = image_shape((self.channels, self.height, self.width));
            return Err(Error::failed(format!("an image {shape} can't have {} bytes", self.pixels.len())));
        }
        let interleaved = (0..self.pixels.len()).map(|i| self.pixels[i % self.channels * plane + i / self.channels]);
        let interleaved = interleaved.collect::<Vec<_>>();
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Level(6), FilterType::Adaptive)
            .write_image(&interleaved, self.width as u32, self.height as u32, colour)
            .map_err(|error| Error::failed(format!("can't encode a PNG: {error}")))?;
        Ok(bytes)
    }

    /// Decodes a grey or RGB PNG of 8 bits; the error completes the sentence "the file …".
    pub fn from_png(bytes: &[u8]) -> std::result::Result<Self, String> {
        let damaged = |error: image::ImageError| format!("is not a whole PNG image: {error}");
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(damaged)?;
        let channels = match decoder.color_type() {
            ColorType::L8 => 1,
            ColorType::Rgb8 => 3,
            other => return Err(format!("has pixels of type {other:?}: save it as 8 bit grey or RGB, without alpha")),
        };
        let (width, height) = decoder.dimensions();
        let mut interleaved = vec![0; decoder.total_bytes() as usize]; // at most 48 MiB, by the limits above
        decoder.read_image(&mut interleaved).map_err(damaged)?;
        let plane = |channel: usize| interleaved.iter().skip(channel).step_by(channels).copied();
        let pixels = (0..channels).flat_map(plane).collect();
        Ok(Self { channels, height: height as usize, width: width as usize, pixels })
    }
}
