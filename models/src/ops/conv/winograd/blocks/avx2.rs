//! Eight channels by eight pixels at a time.

use std::arch::x86_64::*;

use super::{BLOCK, Channels, Finish, Place, Rows};

const LANES: usize = 8;

/// # Safety
/// As [`super::gather`] checks.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn gather(planes: &[f32], channels: Channels, blocks: &mut [f32], rows: Rows) {
    // Eight channels all the way, then the others: planes are often a multiple of 4 KiB apart, and a first-level cache has
    // room for eight lines with such addresses.
    for half in [0, LANES] {
        let mut place = Place::start(rows);
        for first in (0..channels.pixels).step_by(LANES) {
            let count = (channels.pixels - first).min(LANES);
            let places = places(&mut place, count);
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
    let zero = _mm256_setzero_ps();
    // As in `gather`.
    for half in [0, LANES] {
        let mut place = Place::start(rows);
        let channels_left = channels.count.saturating_sub(half);
        for first in (0..channels.pixels).step_by(LANES) {
            let count = (channels.pixels - first).min(LANES);
            let places = places(&mut place, count);
            let mut tile = [zero; LANES];
            for (row, from) in tile.iter_mut().zip(places).take(count) {
                // SAFETY: the caller checked the furthest pixel; this one comes before it.
                *row = unsafe { _mm256_loadu_ps(blocks.as_ptr().add(from + half)) };
            }
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

/// Where the blocks of the next `count` pixels begin.
#[inline(always)]
fn places(place: &mut Place, count: usize) -> [usize; LANES] {
    if count == LANES
        && let Some(at) = place.run::<LANES>()
    {
        return std::array::from_fn(|i| (at + i) * BLOCK);
    }
    let mut places = [0; LANES];
    places.iter_mut().take(count).for_each(|to| *to = place.next() * BLOCK);
    places
}
