//! Many samples in one picture: a row a class, a column a sample.

use std::collections::BTreeMap;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::{Image, Sample};
use crate::{Error, Result};

/// The pixels between two samples; they are transparent, so the sheet suits a light and a dark page.
const GAP: usize = 2;

/// The largest height or width of a sheet, in pixels.
const MAX_SIDE: usize = 1 << 14;

/// A PNG with the first `columns` samples of each class that occurs, in the order given, each pixel as `scale` x `scale`.
///
/// Fails when there is no sample, when images differ in size, or when the sheet would be larger than 16,384 pixels.
pub fn contact_sheet(samples: &[&Sample], columns: usize, scale: u32) -> Result<Vec<u8>> {
    let mut rows = BTreeMap::<u32, Vec<&Image>>::new();
    for sample in samples {
        let row = rows.entry(sample.class).or_default();
        if row.len() < columns {
            row.push(&sample.image);
        }
    }
    let rows = rows.into_values().collect::<Vec<_>>();
    let mut canvas = Canvas::new(&rows, scale as usize)?;
    for (y, row) in rows.iter().enumerate() {
        for (x, image) in row.iter().enumerate() {
            canvas.draw(image, y, x)?;
        }
    }
    canvas.into_png()
}

/// RGBA pixels, and the size of a cell on it.
struct Canvas {
    rgba: Vec<[u8; 4]>,
    height: usize,
    width: usize,
    scale: usize,
    /// Height and width of one sample, unscaled.
    cell: (usize, usize),
}

impl Canvas {
    fn new(rows: &[Vec<&Image>], scale: usize) -> Result<Self> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let Some(first) = rows.iter().flatten().next().filter(|_| scale > 0) else {
            return Err(Error::failed("a contact sheet needs at least one sample, one column and a scale of 1"));
        };
        let side = |cells: usize, pixels: usize| {
            let step = pixels.checked_mul(scale)?.checked_add(GAP)?;
            step.checked_mul(cells).map(|side| side - GAP).filter(|side| (1..=MAX_SIDE).contains(side))
        };
        let (Some(height), Some(width)) = (side(rows.len(), first.height), side(columns, first.width)) else {
            return Err(Error::failed(format!(
                "a contact sheet of {} x {columns} images {} high and {} wide, scaled by {scale}, is larger than {MAX_SIDE} pixels",
                rows.len(),
                first.height,
                first.width
            )));
        };
        let cell = (first.height, first.width);
        Ok(Self { rgba: vec![[0; 4]; height * width], height, width, scale, cell })
    }

    /// Draws an image into the cell at row `row` and column `column`.
    fn draw(&mut self, image: &Image, row: usize, column: usize) -> Result<()> {
        let plane = image.height * image.width;
        if (image.height, image.width) != self.cell
            || image.pixels.len() < image.channels * plane
            || image.channels == 0
        {
            return Err(Error::failed("the images of a contact sheet must have the same size"));
        }
        let top = row * (image.height * self.scale + GAP);
        let left = column * (image.width * self.scale + GAP);
        for y in 0..image.height * self.scale {
            for x in 0..image.width * self.scale {
                let at = y / self.scale * image.width + x / self.scale;
                let channel = |c: usize| image.pixels[c.min(image.channels - 1) * plane + at];
                self.rgba[(top + y) * self.width + left + x] = [channel(0), channel(1), channel(2), 255];
            }
        }
        Ok(())
    }

    fn into_png(self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Level(6), FilterType::NoFilter)
            .write_image(self.rgba.as_flattened(), self.width as u32, self.height as u32, ExtendedColorType::Rgba8)
            .map_err(|error| Error::failed(format!("can't encode a PNG: {error}")))?;
        Ok(bytes)
    }
}
