//! One change of an image with its parameters, as torchvision's functional transforms have it.

use super::{Pixels, colour, geometry, tone};

/// What is done to an image. Factors: 0 is the extreme, 1 the image itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    /// The part of a whole turn, -0.5 to 0.5.
    Hue(f32),
    Sharpness(f32),
    /// Bits that stay, 0 to 8.
    Posterize(u8),
    /// Values from here on are inverted.
    Solarize(f32),
    AutoContrast,
    Equalize,
    /// The shift of a row for each row below the first, in pixels; to the left where positive.
    ShearX(f64),
    /// The shift of a column for each column right of the first, in pixels; upwards where positive.
    ShearY(f64),
    /// Pixels to the right.
    TranslateX(f64),
    /// Pixels down.
    TranslateY(f64),
    /// Degrees counter-clockwise about the centre.
    Rotate(f64),
}

impl Change {
    pub fn apply(self, image: &mut Pixels) {
        match self {
            Self::Brightness(factor) => colour::brightness(image, factor),
            Self::Contrast(factor) => colour::contrast(image, factor),
            Self::Saturation(factor) => colour::saturation(image, factor),
            Self::Hue(turn) => colour::hue(image, turn),
            Self::Sharpness(factor) => tone::sharpness(image, factor),
            Self::Posterize(bits) => tone::posterize(image, bits),
            Self::Solarize(threshold) => tone::solarize(image, threshold),
            Self::AutoContrast => tone::autocontrast(image),
            Self::Equalize => tone::equalize(image),
            Self::ShearX(factor) => geometry::affine(image, &geometry::shear_x(factor)),
            Self::ShearY(factor) => geometry::affine(image, &geometry::shear_y(factor)),
            Self::TranslateX(pixels) => geometry::affine(image, &geometry::translate(pixels, 0.0)),
            Self::TranslateY(pixels) => geometry::affine(image, &geometry::translate(0.0, pixels)),
            Self::Rotate(degrees) => {
                let matrix = geometry::rotate(degrees, image.height, image.width);
                geometry::affine(image, &matrix);
            }
        }
    }
}
