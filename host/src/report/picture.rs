//! Samples as small pictures on the page.

use image::imageops::thumbnail;
use image::{ImageBuffer, Luma, Rgb};

use super::html::{Html, html, png_uri};
use crate::pool::{Image, Sample};

/// Larger images are shrunk to this many pixels a side, as hundreds of them go into one page.
const MOST_SIDE: usize = 64;

/// An `<img>` of a sample; `title` appears when one points at it. Nothing when the image can't be encoded.
pub(super) fn picture(sample: &Sample, title: &str) -> Html {
    let small = shrunk(&sample.image);
    let Ok(png) = small.as_ref().unwrap_or(&sample.image).to_png() else { return Html::default() };
    let alt = format!("drawn image {} of class {}", sample.id, sample.class);
    html!("<img src=\"{}\" alt=\"{}\" title=\"{}\" loading=\"lazy\">", png_uri(&png), alt, title)
}

/// Where a sample comes from, in a line.
pub(super) fn provenance(sample: &Sample) -> String {
    let origin = &sample.provenance;
    format!(
        "image {}: class {}, {} with {} steps, guidance {}",
        sample.id,
        sample.class,
        origin.sampler.to_uppercase(),
        origin.steps,
        origin.guidance
    )
}

/// `count` of the items, evenly spaced from the first to the last.
pub(super) fn spaced<T: Copy>(items: &[T], count: usize) -> Vec<T> {
    if items.len() <= count {
        return items.to_vec();
    }
    (0..count).map(|i| items[i * (items.len() - 1) / (count - 1).max(1)]).collect()
}

fn shrunk(image: &Image) -> Option<Image> {
    let longest = image.height.max(image.width);
    if longest <= MOST_SIDE {
        return None;
    }
    let side = |pixels: usize| (pixels * MOST_SIDE / longest).max(1) as u32;
    let (height, width) = (side(image.height), side(image.width));
    let plane = image.height * image.width;
    let at = |x: u32, y: u32, c: usize| image.pixels[c * plane + y as usize * image.width + x as usize];
    let (full_width, full_height) = (image.width as u32, image.height as u32);
    let pixels = match image.channels {
        1 => {
            let full = ImageBuffer::from_fn(full_width, full_height, |x, y| Luma([at(x, y, 0)]));
            thumbnail(&full, width, height).into_raw()
        }
        3 => {
            let full = ImageBuffer::from_fn(full_width, full_height, |x, y| Rgb([0, 1, 2].map(|c| at(x, y, c))));
            let small = thumbnail(&full, width, height).into_raw();
            (0..3).flat_map(|c| small.iter().skip(c).step_by(3)).copied().collect()
        }
        _ => return None,
    };
    Some(Image { channels: image.channels, height: height as usize, width: width as usize, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_images_are_shrunk_and_small_ones_left() {
        let image =
            |side: usize| Image { channels: 3, height: side, width: side / 2, pixels: vec![9; 3 * side * side / 2] };
        assert_eq!(shrunk(&image(64)), None);
        let small = shrunk(&image(256)).unwrap();
        assert_eq!((small.channels, small.height, small.width), (3, 64, 32));
        assert_eq!(small.pixels, vec![9; 3 * 64 * 32]);
    }

    #[test]
    fn a_choice_runs_from_the_first_to_the_last() {
        assert_eq!(spaced(&[1, 2, 3, 4, 5], 3), [1, 3, 5]);
        assert_eq!(spaced(&[1, 2], 3), [1, 2]);
        assert_eq!(spaced(&[1, 2], 1), [1]);
    }
}
