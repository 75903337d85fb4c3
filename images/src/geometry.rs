//! Affine maps to the nearest pixel with the arithmetic of PIL: 16 bits behind the point. What comes in is black.

use super::Pixels;

/// From a position in the result to one in the source: `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`; pixel
/// centres are at halves.
pub(crate) type Matrix = [f64; 6];

/// Shear along x by `factor`, keeping the upper left corner.
pub(crate) fn shear_x(factor: f64) -> Matrix {
    [1.0, factor, 0.0, 0.0, 1.0, 0.0]
}

/// Shear along y by `factor`, keeping the upper left corner.
pub(crate) fn shear_y(factor: f64) -> Matrix {
    [1.0, 0.0, 0.0, factor, 1.0, 0.0]
}

/// A shift to the right and down, in pixels.
pub(crate) fn translate(right: f64, down: f64) -> Matrix {
    [1.0, 0.0, -right, 0.0, 1.0, -down]
}

/// A turn about the centre, in degrees counter-clockwise.
pub(crate) fn rotate(degrees: f64, height: usize, width: usize) -> Matrix {
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
    [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y]
}

pub(crate) fn affine(image: &mut Pixels, matrix: &Matrix) {
    let fixed = |value: f64| (value * 65_536.0 + 0.5).floor() as i64;
    let [a, b, c, d, e, f] = *matrix;
    let (dx, dy) = (fixed(a), fixed(d));
    let (step_x, step_y) = (fixed(b), fixed(e));
    let mut start = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
    let (count, height, width) = (image.channels.count(), image.height, image.width);
    let from = std::mem::replace(&mut image.data, vec![0; count * height * width]);
    let inside = |position: i64, size: usize| usize::try_from(position >> 16).ok().filter(|&i| i < size);
    for line in image.data.chunks_exact_mut(width * count) {
        let (mut x, mut y) = start;
        for pixel in line.chunks_exact_mut(count) {
            if let (Some(column), Some(row)) = (inside(x, width), inside(y, height)) {
                pixel.copy_from_slice(&from[(row * width + column) * count..][..count]);
            }
            (x, y) = (x + dx, y + dy);
        }
        start = (start.0 + step_x, start.1 + step_y);
    }
}
