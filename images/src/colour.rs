//! Changes of colour with the arithmetic of PIL, which torchvision's transforms use on its images.

use super::{Channels, Pixels};

/// The luma of a pixel (ITU-R 601), of red, green and blue.
pub(crate) fn luma(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|i| u32::from(pixel[i]));
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

/// From `from` (factor 0) by way of `to` (factor 1) beyond it; the fraction is cut off.
pub(crate) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let value = f32::from(from) + factor * (f32::from(to) - f32::from(from));
    // The conversion cuts off the fraction and keeps to 0 and 255.
    value as u8
}

pub(crate) fn brightness(image: &mut Pixels, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|i| blend(0, i as u8, factor));
    image.data.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Against the mean luma of the whole image.
pub(crate) fn contrast(image: &mut Pixels, factor: f32) {
    let sum: u64 = match image.channels {
        Channels::Grey => image.data.iter().map(|&value| u64::from(value)).sum(),
        Channels::Rgb => image.data.chunks_exact(3).map(|pixel| u64::from(luma(pixel))).sum(),
    };
    let mean = (sum as f64 / (image.height * image.width) as f64 + 0.5) as u8;
    let table: [u8; 256] = std::array::from_fn(|i| blend(mean, i as u8, factor));
    image.data.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Against the luma of each pixel. Grey images stay as they are.
pub(crate) fn saturation(image: &mut Pixels, factor: f32) {
    if image.channels == Channels::Rgb {
        for pixel in image.data.chunks_exact_mut(3) {
            let grey = luma(pixel);
            pixel.iter_mut().for_each(|value| *value = blend(grey, *value, factor));
        }
    }
}

/// Turns the hue by `turn` of the circle, -0.5 to 0.5. Grey images stay as they are.
pub(crate) fn hue(image: &mut Pixels, turn: f32) {
    if image.channels == Channels::Rgb {
        let shift = (turn * 255.0) as i32 as u8;
        for pixel in image.data.chunks_exact_mut(3) {
            let [h, s, v] = to_hsv(pixel);
            pixel.copy_from_slice(&to_rgb([h.wrapping_add(shift), s, v]));
        }
    }
}

fn to_hsv(pixel: &[u8]) -> [u8; 3] {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]];
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if high == low {
        return [0, 0, high];
    }
    let range = f32::from(high - low);
    let saturation = range / f32::from(high);
    let [rc, gc, bc] = [r, g, b].map(|value| f64::from(f32::from(high - value) / range));
    let sixth = if r == high {
        bc - gc
    } else if g == high {
        2.0 + rc - bc
    } else {
        4.0 + gc - rc
    };
    let hue = ((f64::from(sixth as f32) / 6.0 + 1.0) % 1.0) as f32;
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, high]
}

fn to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let (sector, part) = (sixths.floor(), f64::from((sixths - sixths.floor()) as f32));
    let s = f64::from((f64::from(saturation) / 255.0) as f32);
    let v = f64::from(value);
    let [p, q, t] = [1.0 - s, 1.0 - s * part, 1.0 - s * (1.0 - part)].map(|share| (v * share).round() as u8);
    match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}
