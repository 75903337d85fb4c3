//! Between images and patch matrices: `[depth, pixels]`, row (c, ky, kx), column (oy, ox).

use std::ops::Range;

use super::geometry::Geometry;

/// One row of the patch matrix: which input element each output pixel takes.
pub(super) struct Tap {
    pub channel: usize,
    pub ky: usize,
    pub kx: usize,
}

/// The rows of the patch matrix of a group, in order.
#[inline(always)]
pub(super) fn taps(g: &Geometry) -> impl Iterator<Item = Tap> + use<> {
    let (kh, kw) = (g.kh, g.kw);
    (0..g.depth()).map(move |row| Tap { channel: row / (kh * kw), ky: row / kw % kh, kx: row % kw })
}

/// The output columns whose input column lies inside the image for a tap at `kx`.
#[inline(always)]
pub(super) fn inside(size: usize, out_size: usize, k: usize, g: &Geometry) -> Range<usize> {
    // ox * stride + k - padding in 0..size
    let first = g.padding.saturating_sub(k).div_ceil(g.stride).min(out_size);
    let end = (size + g.padding).saturating_sub(k).div_ceil(g.stride).min(out_size);
    first..end.max(first)
}

/// Writes the patches of the output rows `rows` of one image. `image` holds the group's channels; row `k` of the
/// matrix starts at `k * stride` of `out` and has `rows.len() * out_width` elements.
pub(super) fn gather(g: &Geometry, image: &[f32], rows: Range<usize>, out: &mut [f32], stride: usize) {
    let plane = g.height * g.width;
    for (row, tap) in taps(g).enumerate() {
        let source = &image[tap.channel * plane..][..plane];
        let target = &mut out[row * stride..][..rows.len() * g.out_width];
        let columns = inside(g.width, g.out_width, tap.kx, g);
        for (oy, line) in rows.clone().zip(target.chunks_exact_mut(g.out_width)) {
            let y = oy * g.stride + tap.ky;
            if y < g.padding || y - g.padding >= g.height || columns.is_empty() {
                line.fill(0.0);
                continue;
            }
            let from = &source[(y - g.padding) * g.width..][..g.width];
            line[..columns.start].fill(0.0);
            line[columns.end..].fill(0.0);
            let first = columns.start * g.stride + tap.kx - g.padding;
            let middle = &mut line[columns.clone()];
            if g.stride == 1 {
                middle.copy_from_slice(&from[first..][..middle.len()]);
            } else {
                for (value, &pixel) in middle.iter_mut().zip(from[first..].iter().step_by(g.stride)) {
                    *value = pixel;
                }
            }
        }
    }
}

/// Adds a patch matrix back onto the image it would come from: the adjoint of [`gather`].
pub(super) fn scatter(g: &Geometry, image: &mut [f32], rows: Range<usize>, patches: &[f32], stride: usize) {
    let plane = g.height * g.width;
    for (row, tap) in taps(g).enumerate() {
        let target = &mut image[tap.channel * plane..][..plane];
        let source = &patches[row * stride..][..rows.len() * g.out_width];
        let columns = inside(g.width, g.out_width, tap.kx, g);
        for (oy, line) in rows.clone().zip(source.chunks_exact(g.out_width)) {
            let y = oy * g.stride + tap.ky;
            if y < g.padding || y - g.padding >= g.height || columns.is_empty() {
                continue;
            }
            let first = columns.start * g.stride + tap.kx - g.padding;
            let onto = &mut target[(y - g.padding) * g.width..][..g.width][first..];
            for (pixel, &value) in onto.iter_mut().step_by(g.stride).zip(&line[columns.clone()]) {
                *pixel += value;
            }
        }
    }
}
