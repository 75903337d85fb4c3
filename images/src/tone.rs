//! Changes of each channel's values by a table, and of sharpness, with the arithmetic of PIL.

use super::Pixels;
use super::colour::blend;

/// Keeps the upper `bits` bits of each value.
pub(crate) fn posterize(image: &mut Pixels, bits: u8) {
    let mask = 0xff_u8.checked_shl(8 - u32::from(bits.min(8))).unwrap_or(0);
    image.data.iter_mut().for_each(|value| *value &= mask);
}

/// Inverts the values from `threshold` on.
pub(crate) fn solarize(image: &mut Pixels, threshold: f32) {
    for value in &mut image.data {
        if f32::from(*value) >= threshold {
            *value = 255 - *value;
        }
    }
}

/// Stretches each channel to the whole range.
pub(crate) fn autocontrast(image: &mut Pixels) {
    by_channel(image, |counts| {
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(255);
        if high <= low {
            return std::array::from_fn(|i| i as u8);
        }
        let scale = 255.0 / (high - low) as f64;
        std::array::from_fn(|i| (i as f64 * scale - low as f64 * scale) as u8)
    });
}

/// Makes each channel's values equally frequent.
pub(crate) fn equalize(image: &mut Pixels) {
    by_channel(image, |counts| {
        let used = counts.iter().filter(|&&count| count > 0);
        let last = counts.iter().rfind(|&&count| count > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if used.count() <= 1 || step == 0 {
            return std::array::from_fn(|i| i as u8);
        }
        let mut sum = step / 2;
        std::array::from_fn(|i| {
            let value = (sum / step).min(255) as u8;
            sum += counts[i];
            value
        })
    });
}

fn by_channel(image: &mut Pixels, table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    let count = image.channels.count();
    for channel in 0..count {
        let mut counts = [0; 256];
        image.data.iter().skip(channel).step_by(count).for_each(|&value| counts[usize::from(value)] += 1);
        let table = table(&counts);
        let values = image.data.iter_mut().skip(channel).step_by(count);
        values.for_each(|value| *value = table[usize::from(*value)]);
    }
}

/// From smoothed (factor 0) by way of the image itself (1) to sharpened. The outermost pixels stay as they are.
pub(crate) fn sharpness(image: &mut Pixels, factor: f32) {
    let (count, line) = (image.channels.count(), image.width * image.channels.count());
    let from = image.data.clone();
    for y in 1..image.height.saturating_sub(1) {
        for x in count..line.saturating_sub(count) {
            let at = y * line + x;
            let row = |at: usize| [at - count, at, at + count].map(|i| u32::from(from[i])).iter().sum::<u32>();
            // The kernel is 1 everywhere and 5 in the middle, over 13; half of that is added to round.
            let sum = row(at - line) + row(at) + row(at + line) + 4 * u32::from(from[at]);
            let smooth = ((2 * sum + 13) / 26) as u8;
            image.data[at] = blend(smooth, from[at], factor);
        }
    }
}
