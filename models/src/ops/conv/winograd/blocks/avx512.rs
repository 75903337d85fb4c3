//! Sixteen channels by sixteen pixels at a time.

use std::arch::x86_64::*;

use super::{BLOCK, Channels, Finish, Place, Rows};

/// # Safety
/// As [`super::gather`] checks.
#[target_feature(enable = "avx512f")]
pub unsafe fn gather(planes: &[f32], channels: Channels, blocks: &mut [f32], rows: Rows) {
    let mut place = Place::start(rows);
    let (from, to) = (planes.as_ptr(), blocks.as_mut_ptr());
    for first in (0..channels.pixels).step_by(BLOCK) {
        let (count, mask) = at_hand(channels.pixels - first);
        let mut tile = [_mm512_setzero_ps(); BLOCK];
        // SAFETY: the pixels of the mask lie in the channel, which lies in the slice.
        let row = |c: usize| unsafe { _mm512_maskz_loadu_ps(mask, from.add(c * channels.stride + first)) };
        if channels.count == BLOCK {
            tile.iter_mut().enumerate().for_each(|(c, to)| *to = row(c));
        } else {
            tile.iter_mut().enumerate().take(channels.count).for_each(|(c, to)| *to = row(c));
        }
        let tile = transposed(tile);
        // SAFETY: the caller checked the furthest pixel; these come before it.
        let store = |at: usize, row: __m512| unsafe { _mm512_storeu_ps(to.add(at * BLOCK), row) };
        match if count == BLOCK { place.run::<BLOCK>() } else { None } {
            Some(at) => tile.into_iter().enumerate().for_each(|(i, row)| store(at + i, row)),
            None => tile.into_iter().take(count).for_each(|row| store(place.next(), row)),
        }
    }
}

/// # Safety
/// As [`super::scatter`] checks.
#[target_feature(enable = "avx512f")]
pub unsafe fn scatter(blocks: &[f32], rows: Rows, planes: &mut [f32], channels: Channels, finish: Finish<'_>) {
    let mut place = Place::start(rows);
    let (from, to) = (blocks.as_ptr(), planes.as_mut_ptr());
    let zero = _mm512_setzero_ps();
    for first in (0..channels.pixels).step_by(BLOCK) {
        let (count, mask) = at_hand(channels.pixels - first);
        let mut tile = [zero; BLOCK];
        // SAFETY: the caller checked the furthest pixel; these come before it.
        let load = |at: usize| unsafe { _mm512_loadu_ps(from.add(at * BLOCK)) };
        match if count == BLOCK { place.run::<BLOCK>() } else { None } {
            Some(at) => tile.iter_mut().enumerate().for_each(|(i, row)| *row = load(at + i)),
            None => tile.iter_mut().take(count).for_each(|row| *row = load(place.next())),
        }
        let tile = transposed(tile);
        for (c, mut sums) in tile.into_iter().enumerate().take(channels.count) {
            let at = c * channels.stride + first;
            if let Some(scale) = finish.scale {
                sums = _mm512_mul_ps(sums, _mm512_set1_ps(scale[c]));
            }
            if let Some(shift) = finish.shift {
                sums = _mm512_add_ps(sums, _mm512_set1_ps(shift[c]));
            }
            if let Some(residual) = finish.residual {
                // SAFETY: the residual is as long as the planes, in which these pixels lie.
                sums = _mm512_add_ps(sums, unsafe { _mm512_maskz_loadu_ps(mask, residual.as_ptr().add(at)) });
            }
            if finish.relu {
                // With the value second, NaN passes through.
                sums = _mm512_max_ps(zero, sums);
            }
            // SAFETY: the pixels of the mask lie in the channel, which lies in the slice.
            unsafe { _mm512_mask_storeu_ps(to.add(at), mask, sums) };
        }
    }
}

/// How many of the pixels that are left are taken at once, and the mask of their lanes.
#[inline(always)]
fn at_hand(left: usize) -> (usize, __mmask16) {
    let count = left.min(BLOCK);
    (count, u16::MAX >> (BLOCK - count))
}

/// Rows and columns exchanged.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512; BLOCK]) -> [__m512; BLOCK] {
    // Within each four rows: squares of four by four.
    let mut a = [_mm512_setzero_ps(); BLOCK];
    for i in [0, 4, 8, 12] {
        let (lo0, hi0) = (_mm512_unpacklo_ps(r[i], r[i + 1]), _mm512_unpackhi_ps(r[i], r[i + 1]));
        let (lo1, hi1) = (_mm512_unpacklo_ps(r[i + 2], r[i + 3]), _mm512_unpackhi_ps(r[i + 2], r[i + 3]));
        a[i] = low(lo0, lo1);
        a[i + 1] = high(lo0, lo1);
        a[i + 2] = low(hi0, hi1);
        a[i + 3] = high(hi0, hi1);
    }
    // Then the squares.
    let mut b = [_mm512_setzero_ps(); BLOCK];
    for i in 0..4 {
        let (even0, odd0) = (quarters::<0x88>(a[i], a[i + 4]), quarters::<0xdd>(a[i], a[i + 4]));
        let (even1, odd1) = (quarters::<0x88>(a[i + 8], a[i + 12]), quarters::<0xdd>(a[i + 8], a[i + 12]));
        b[i] = quarters::<0x88>(even0, even1);
        b[i + 4] = quarters::<0x88>(odd0, odd1);
        b[i + 8] = quarters::<0xdd>(even0, even1);
        b[i + 12] = quarters::<0xdd>(odd0, odd1);
    }
    b
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quarters<const CHOICE: i32>(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_f32x4::<CHOICE>(a, b)
}

/// The lower halves of each quarter, of `a` then of `b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn low(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_ps::<0x44>(a, b)
}

/// The upper halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn high(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_ps::<0xee>(a, b)
}
