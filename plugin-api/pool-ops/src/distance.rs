//! Distances, in sixteen interleaved sums: they fill the widest vectors, and are added up in the same order on every
//! machine. Multiplications are not fused with additions, which not every processor can do.

use rayon::prelude::*;

const LANES: usize = 16;

/// Candidates that one task looks at.
const BLOCK: usize = 512;

/// `‖a − b‖²`.
#[inline(always)]
pub fn squared(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

/// `a · b`.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| a * b)
}

#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += term(a[lane], b[lane]);
        }
    }
    for ((total, &a), &b) in lanes.iter_mut().zip(rest_a).zip(rest_b) {
        *total += term(a, b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Runs `f` compiled for the widest vectors of this processor; it must be `#[inline(always)]` all the way down.
#[inline(always)]
pub fn simd<R>(f: impl FnOnce() -> R) -> R {
    struct Call<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Call<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Call(f))
}

/// Applies `f(candidate, state)` to every candidate's state, in parallel, and returns the place of the largest value that
/// it gave (the first of equals); `None` where every candidate gave `None`.
pub fn arg_max<S: Send>(
    candidates: &[u32],
    states: &mut [S],
    f: impl Fn(u32, &mut S) -> Option<f32> + Sync,
) -> Option<usize> {
    let blocks = candidates.par_chunks(BLOCK).zip(states.par_chunks_mut(BLOCK)).enumerate();
    let best = blocks.map(|(block, (candidates, states))| {
        simd(
            #[inline(always)]
            || {
                let mut best: Option<(f32, usize)> = None;
                for (i, (&candidate, state)) in candidates.iter().zip(states).enumerate() {
                    let Some(value) = f(candidate, state) else { continue };
                    if best.is_none_or(|(highest, _)| value > highest) {
                        best = Some((value, block * BLOCK + i));
                    }
                }
                best
            },
        )
    });
    let best: Vec<Option<(f32, usize)>> = best.collect();
    let first = |a: (f32, usize), b: (f32, usize)| if b.0 > a.0 { b } else { a };
    best.into_iter().flatten().reduce(first).map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_no_gaps() {
        for width in [1, 7, 16, 17, 40] {
            let a: Vec<f32> = (0..width).map(|i| i as f32).collect();
            let b = vec![1.0; width];
            assert_eq!(dot(&a, &b), a.iter().sum::<f32>(), "{width}");
            assert_eq!(squared(&a, &b), a.iter().map(|a| (a - 1.0) * (a - 1.0)).sum::<f32>(), "{width}");
        }
    }
}
