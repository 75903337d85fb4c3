//! How figures are said, wherever they are said.

/// The size of an image, channels, height and width in pixels: `28 high and 32 wide with 1 channel`. Programs and formats
/// differ in which side they name first.
pub fn image_shape((channels, height, width): (usize, usize, usize)) -> String {
    format!("{height} high and {width} wide with {channels} channel{}", if channels == 1 { "" } else { "s" })
}

/// A share in per cent with two decimals: `97.42`.
pub fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * shown(share))
}

/// A share as [`percent`] shows it, half of the last decimal rounded up. A share that was written to a file and read again may
/// differ in its last bit, which changes nothing here.
pub fn shown(share: f64) -> f64 {
    ((1e10 * share).round() / 1e6).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_is_named() {
        assert_eq!(image_shape((1, 28, 32)), "28 high and 32 wide with 1 channel");
        assert_eq!(image_shape((3, 16, 8)), "16 high and 8 wide with 3 channels");
    }

    #[test]
    fn the_last_bit_of_a_share_changes_nothing() {
        let half = 0.09645_f64;
        for share in [half, half.next_down(), half.next_up()] {
            assert_eq!(percent(share), "9.65", "{share}");
        }
        assert_eq!([percent(0.0), percent(0.984_149), percent(1.0)], ["0.00", "98.41", "100.00"]);
    }
}
