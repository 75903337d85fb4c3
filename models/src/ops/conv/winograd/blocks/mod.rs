//! Between planes of pixels and blocks of sixteen channels a pixel, several of both at a time.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::ops::conv::finish::Finish;

/// Channels of a block: the floats of the longest vector.
pub(super) const BLOCK: usize = 16;

/// Pixels in rows of a buffer of blocks: `width` of each `pitch` are used, from `first` on.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub first: usize,
    pub width: usize,
    pub pitch: usize,
}

/// Planes of pixels in a slice: channel `c` starts at `c * stride`. Up to [`BLOCK`] channels of `pixels` pixels.
#[derive(Clone, Copy)]
pub(super) struct Channels {
    pub count: usize,
    pub stride: usize,
    pub pixels: usize,
}

impl Channels {
    fn check(self, len: usize, rows: Rows, blocks: usize) {
        assert!(self.count >= 1 && self.count <= BLOCK && rows.width > 0 && rows.width <= rows.pitch);
        assert!((self.count - 1) * self.stride + self.pixels <= len, "channels beyond their slice");
        let last = self.pixels.saturating_sub(1);
        let furthest = rows.first + last / rows.width * rows.pitch + last % rows.width;
        assert!(self.pixels == 0 || (furthest + 1) * BLOCK <= blocks, "pixels beyond their rows");
    }
}

/// Writes each pixel of `planes` as a block: its channels, then zeros.
pub(super) fn gather(planes: &[f32], channels: Channels, blocks: &mut [f32], rows: Rows) {
    channels.check(planes.len(), rows, blocks.len());
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512, and the checks above found every place inside its slice.
        return unsafe { avx512::gather(planes, channels, blocks, rows) };
    } else if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has AVX2, and the checks above found every place inside its slice.
        return unsafe { avx2::gather(planes, channels, blocks, rows) };
    }
    let mut place = Place::start(rows);
    for pixel in 0..channels.pixels {
        let block = &mut blocks[place.next() * BLOCK..][..BLOCK];
        block.fill(0.0);
        for (c, to) in block.iter_mut().take(channels.count).enumerate() {
            *to = planes[c * channels.stride + pixel];
        }
    }
}

/// Writes blocks back to planes, finished; `finish` is that of these channels, and its residual starts where `planes` does.
pub(super) fn scatter(blocks: &[f32], rows: Rows, planes: &mut [f32], channels: Channels, finish: Finish<'_>) {
    channels.check(planes.len(), rows, blocks.len());
    let enough = |values: &[f32]| values.len() >= channels.count;
    assert!(finish.scale.is_none_or(enough) && finish.shift.is_none_or(enough), "fewer factors than channels");
    assert!(finish.residual.is_none_or(|residual| residual.len() >= planes.len()), "a residual too short");
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512, and the checks above found every place inside its slice.
        return unsafe { avx512::scatter(blocks, rows, planes, channels, finish) };
    } else if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has AVX2, and the checks above found every place inside its slice.
        return unsafe { avx2::scatter(blocks, rows, planes, channels, finish) };
    }
    scatter_one_by_one(blocks, rows, planes, channels, finish);
}

fn scatter_one_by_one(blocks: &[f32], rows: Rows, planes: &mut [f32], channels: Channels, finish: Finish<'_>) {
    let mut place = Place::start(rows);
    for pixel in 0..channels.pixels {
        let block = &blocks[place.next() * BLOCK..][..BLOCK];
        for (c, &sum) in block.iter().take(channels.count).enumerate() {
            let at = c * channels.stride + pixel;
            planes[at] = finish.value(sum, c, at);
        }
    }
}

/// Walks over the used pixels of rows.
struct Place {
    at: usize,
    left: usize,
    rows: Rows,
}

impl Place {
    fn start(rows: Rows) -> Self {
        Self { at: rows.first, left: rows.width, rows }
    }

    /// The first of the next `N` pixels if they lie in one row.
    #[inline(always)]
    fn run<const N: usize>(&mut self) -> Option<usize> {
        if self.left < N {
            return None;
        }
        let at = self.at;
        self.forward(N);
        Some(at)
    }

    #[inline(always)]
    fn next(&mut self) -> usize {
        let at = self.at;
        self.forward(1);
        at
    }

    /// Goes on by `count` pixels, at most those left in the row.
    #[inline(always)]
    fn forward(&mut self, count: usize) {
        self.left -= count;
        self.at += count;
        if self.left == 0 {
            self.left = self.rows.width;
            self.at += self.rows.pitch - self.rows.width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the processor, as far as this one can tell.
    #[test]
    fn every_way_back_lets_nan_through_a_relu() {
        let rows = Rows { first: 0, width: 19, pitch: 19 };
        let channels = Channels { count: 11, stride: 38, pixels: 38 };
        let value = |i: usize| [f32::NAN, -1.0, 2.0][i % 3];
        let blocks: Vec<f32> = (0..channels.pixels * BLOCK).map(value).collect();
        let finish = Finish { relu: true, ..Finish::default() };
        type Way<'a> = &'a dyn Fn(&mut [f32]);
        let check = |way: Way<'_>| {
            let mut planes = vec![7.0; channels.count * channels.stride];
            way(&mut planes);
            for (at, found) in planes.into_iter().enumerate() {
                let wanted = value(at % channels.stride * BLOCK + at / channels.stride);
                assert!(if wanted.is_nan() { found.is_nan() } else { found == wanted.max(0.0) }, "{at}: {found}");
            }
        };
        check(&|planes| scatter_one_by_one(&blocks, rows, planes, channels, finish));
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512, and every place is inside its slice.
            check(&|planes| unsafe { avx512::scatter(&blocks, rows, planes, channels, finish) });
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has AVX2, and every place is inside its slice.
            check(&|planes| unsafe { avx2::scatter(&blocks, rows, planes, channels, finish) });
        }
    }
}
