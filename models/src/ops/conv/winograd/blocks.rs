//! Between planes of pixels and blocks of sixteen channels a pixel, several of both at a time.

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
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has AVX2, and `check` found every place inside its slice.
        return unsafe { wide::gather(planes, channels, blocks, rows) };
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
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has AVX2, and the checks above found every place inside its slice.
        return unsafe { wide::scatter(blocks, rows, planes, channels, finish) };
    }
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

    #[inline(always)]
    fn next(&mut self) -> usize {
        let at = self.at;
        self.left -= 1;
        self.at += 1;
        if self.left == 0 {
            self.left = self.rows.width;
            self.at += self.rows.pitch - self.rows.width;
        }
        at
    }
}

/// Eight channels by eight pixels at a time. Wider vectors would save little: it is the stores that take the time.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::{BLOCK, Channels, Finish, Place, Rows};

    const LANES: usize = 8;

    /// # Safety
    /// As [`super::gather`] checks.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn gather(planes: &[f32], channels: Channels, blocks: &mut [f32], rows: Rows) {
        let mut place = Place::start(rows);
        for first in (0..channels.pixels).step_by(LANES) {
            let count = (channels.pixels - first).min(LANES);
            let mut places = [0; LANES];
            places.iter_mut().take(count).for_each(|to| *to = place.next() * BLOCK);
            for half in [0, LANES] {
                let mut tile = [_mm256_setzero_ps(); LANES];
                for (c, row) in tile.iter_mut().enumerate().take(channels.count.saturating_sub(half)) {
                    let at = (half + c) * channels.stride + first;
                    *row = if count == LANES {
                        // SAFETY: all eight pixels lie in the channel, which lies in the slice.
                        unsafe { _mm256_loadu_ps(planes.as_ptr().add(at)) }
                    } else {
                        let mut last = [0.0f32; LANES];
                        last[..count].copy_from_slice(&planes[at..at + count]);
                        // SAFETY: the array has eight floats.
                        unsafe { _mm256_loadu_ps(last.as_ptr()) }
                    };
                }
                for (row, to) in transposed(tile).into_iter().zip(places).take(count) {
                    // SAFETY: the caller checked the furthest pixel; this one comes before it.
                    unsafe { _mm256_storeu_ps(blocks.as_mut_ptr().add(to + half), row) };
                }
            }
        }
    }

    /// # Safety
    /// As [`super::scatter`] checks.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn scatter(blocks: &[f32], rows: Rows, planes: &mut [f32], channels: Channels, finish: Finish<'_>) {
        let mut place = Place::start(rows);
        let zero = _mm256_setzero_ps();
        for first in (0..channels.pixels).step_by(LANES) {
            let count = (channels.pixels - first).min(LANES);
            let mut places = [0; LANES];
            places.iter_mut().take(count).for_each(|from| *from = place.next() * BLOCK);
            for half in [0, LANES] {
                let mut tile = [zero; LANES];
                for (row, from) in tile.iter_mut().zip(places).take(count) {
                    // SAFETY: the caller checked the furthest pixel; this one comes before it.
                    *row = unsafe { _mm256_loadu_ps(blocks.as_ptr().add(from + half)) };
                }
                let channels_left = channels.count.saturating_sub(half);
                for (c, mut sums) in transposed(tile).into_iter().enumerate().take(channels_left) {
                    let at = (half + c) * channels.stride + first;
                    if let Some(scale) = finish.scale {
                        sums = _mm256_mul_ps(sums, _mm256_set1_ps(scale[half + c]));
                    }
                    if let Some(shift) = finish.shift {
                        sums = _mm256_add_ps(sums, _mm256_set1_ps(shift[half + c]));
                    }
                    if let Some(residual) = finish.residual {
                        sums = _mm256_add_ps(sums, load(&residual[at..at + count]));
                    }
                    if finish.relu {
                        // With the value second, NaN passes through.
                        sums = _mm256_max_ps(zero, sums);
                    }
                    if count == LANES {
                        // SAFETY: all eight pixels lie in the channel, which lies in the slice.
                        unsafe { _mm256_storeu_ps(planes.as_mut_ptr().add(at), sums) };
                    } else {
                        let mut last = [0.0f32; LANES];
                        // SAFETY: the array has eight floats.
                        unsafe { _mm256_storeu_ps(last.as_mut_ptr(), sums) };
                        planes[at..at + count].copy_from_slice(&last[..count]);
                    }
                }
            }
        }
    }

    /// Up to eight floats, then zeros.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn load(from: &[f32]) -> __m256 {
        let mut buffer = [0.0f32; LANES];
        let from = if from.len() >= LANES {
            from
        } else {
            buffer[..from.len()].copy_from_slice(from);
            &buffer
        };
        // SAFETY: there are eight floats in either.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    /// Rows and columns exchanged.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn transposed(r: [__m256; LANES]) -> [__m256; LANES] {
        let (a0, a1) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
        let (a2, a3) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
        let (a4, a5) = (_mm256_unpacklo_ps(r[4], r[5]), _mm256_unpackhi_ps(r[4], r[5]));
        let (a6, a7) = (_mm256_unpacklo_ps(r[6], r[7]), _mm256_unpackhi_ps(r[6], r[7]));
        let (b0, b1) = (_mm256_shuffle_ps::<0x44>(a0, a2), _mm256_shuffle_ps::<0xee>(a0, a2));
        let (b2, b3) = (_mm256_shuffle_ps::<0x44>(a1, a3), _mm256_shuffle_ps::<0xee>(a1, a3));
        let (b4, b5) = (_mm256_shuffle_ps::<0x44>(a4, a6), _mm256_shuffle_ps::<0xee>(a4, a6));
        let (b6, b7) = (_mm256_shuffle_ps::<0x44>(a5, a7), _mm256_shuffle_ps::<0xee>(a5, a7));
        [
            _mm256_permute2f128_ps::<0x20>(b0, b4),
            _mm256_permute2f128_ps::<0x20>(b1, b5),
            _mm256_permute2f128_ps::<0x20>(b2, b6),
            _mm256_permute2f128_ps::<0x20>(b3, b7),
            _mm256_permute2f128_ps::<0x31>(b0, b4),
            _mm256_permute2f128_ps::<0x31>(b1, b5),
            _mm256_permute2f128_ps::<0x31>(b2, b6),
            _mm256_permute2f128_ps::<0x31>(b3, b7),
        ]
    }
}
