//! Cropping and resizing, bilinear with antialiasing, as PIL does it.

use fast_image_resize as fir;
use fir::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fir::pixels::{U8, U8x3};
use fir::{FilterType, PixelTrait, ResizeAlg, ResizeOptions};

use super::{Channels, Pixels};

/// A part of an image, in pixels; lies inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

/// Resizes images one after the other, with buffers that stay. One a thread.
#[derive(Default)]
pub struct Resizer {
    inner: fir::Resizer,
}

impl Resizer {
    pub fn new() -> Self {
        Self::default()
    }

    /// The pixels in `window`, which see nothing around it, at `height` × `width`. A window that reaches over the image is
    /// cut off at its edges. `None` where a size is zero.
    pub fn resized_crop(&mut self, image: &Pixels, window: Window, height: usize, width: usize) -> Option<Pixels> {
        // By the type of the pixels: the library's own choice among all its types takes two minutes to compile.
        let data = match image.channels {
            Channels::Grey => self.resize::<U8>(image, window, height, width),
            Channels::Rgb => self.resize::<U8x3>(image, window, height, width),
        }?;
        Pixels::new(image.channels, height, width, data)
    }

    fn resize<P: PixelTrait>(
        &mut self,
        image: &Pixels,
        window: Window,
        height: usize,
        width: usize,
    ) -> Option<Vec<u8>> {
        let side = |size: usize| u32::try_from(size).ok().filter(|&size| size > 0);
        let (top, left) = (window.top.min(image.height), window.left.min(image.width));
        let window_height = side(window.height.min(image.height - top))?;
        let window_width = side(window.width.min(image.width - left))?;
        let from = TypedImageRef::<P>::from_buffer(side(image.width)?, side(image.height)?, &image.data).ok()?;
        let from = TypedCroppedImage::from_ref(&from, left as u32, top as u32, window_width, window_height).ok()?;
        let mut data = vec![0; height * width * image.channels.count()];
        let mut to = TypedImage::<P>::from_buffer(side(width)?, side(height)?, &mut data).ok()?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.inner.resize_typed(&from, &mut to, &options).ok()?;
        Some(data)
    }

    /// The square of `side` in the middle, once the shorter side is resized to `short` (torchvision's `Resize` and
    /// `CenterCrop`); with `short` = `side` all of the shorter side is seen. `None` where a size is zero, or `side` > `short`.
    pub fn centre(&mut self, image: &Pixels, short: usize, side: usize) -> Option<Pixels> {
        let least = image.height.min(image.width);
        let scaled = |size: usize| if size == least { short } else { short * size / least };
        let (height, width) = (scaled(image.height), scaled(image.width));
        let whole = Window { top: 0, left: 0, height: image.height, width: image.width };
        let resized = self.resized_crop(image, whole, height, width)?;
        let start = |size: usize| Some((size.checked_sub(side)? as f64 / 2.0).round_ties_even() as usize);
        let window = Window { top: start(height)?, left: start(width)?, height: side, width: side };
        Some(crop(&resized, window))
    }
}

/// The pixels in `window`, which lies inside the image.
fn crop(image: &Pixels, window: Window) -> Pixels {
    let (count, line) = (image.channels.count(), image.width * image.channels.count());
    let rows = image.data.chunks_exact(line).skip(window.top).take(window.height);
    let data = rows.flat_map(|row| &row[window.left * count..][..window.width * count]).copied().collect();
    Pixels { channels: image.channels, height: window.height, width: window.width, data }
}
