//! The largest value of windows that overlap: rows and columns of taps, each a whole row of windows at a time.

use std::ops::Range;

use super::max::{is_largest, larger};
use super::window::Window;
use crate::ops::cpu::simd;
use crate::ops::tile::with_scratch;

/// The largest value of each window of a plane. `line`: a row of the input.
#[inline(always)]
pub fn largest(window: &Window, x: &[f32], line: &mut [f32], y: &mut [f32]) {
    for (oy, y) in y.chunks_exact_mut(window.out_width).enumerate() {
        let (first, rest) =
            x[window.rows(oy).start * window.width..window.rows(oy).end * window.width].split_at(window.width);
        line.copy_from_slice(first);
        for row in rest.chunks_exact(window.width) {
            line.iter_mut().zip(row).for_each(|(most, &x)| *most = larger(*most, x));
        }
        y.fill(f32::NEG_INFINITY);
        for kx in 0..window.kernel {
            let (columns, start) = window.span(kx, window.width, window.out_width);
            let y = &mut y[columns];
            // Chunks of constant length become vectors.
            match window.stride {
                _ if y.is_empty() => {}
                1 => y.iter_mut().zip(&line[start..]).for_each(|(y, &x)| *y = larger(*y, x)),
                2 => y.iter_mut().zip(line[start..].chunks(2)).for_each(|(y, x)| *y = larger(*y, x[0])),
                stride => y.iter_mut().zip(line[start..].iter().step_by(stride)).for_each(|(y, &x)| *y = larger(*y, x)),
            }
        }
    }
}

/// Hands each window's gradient to its first largest value. `outputs`: the windows' largest values and their gradients.
pub fn spread(window: &Window, x: &[f32], outputs: (&[f32], &[f32]), dx: &mut [f32]) {
    let phases = Phases::of(window);
    let plane = window.height * phases.row();
    with_scratch(2 * plane + window.out_width, |scratch| {
        let (xs, scratch) = scratch.split_at_mut(plane);
        let (dxs, left) = scratch.split_at_mut(plane);
        simd(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(window.width).zip(xs.chunks_exact_mut(phases.row()));
                rows.for_each(|(x, xs)| phases.take_apart(x, xs));
                dxs.fill(0.0);
                phases.spread(window, xs, outputs, left, dxs);
                let rows = dx.chunks_exact_mut(window.width).zip(dxs.chunks_exact(phases.row()));
                rows.for_each(|(dx, dxs)| phases.put_together(dxs, dx));
            },
        );
    });
}

/// Rows whose columns are put apart by their place in the stride: what a tap meets in a row of windows lies side by side.
struct Phases {
    stride: usize,
    padding: usize,
    /// Columns of a phase.
    len: usize,
}

impl Phases {
    fn of(window: &Window) -> Self {
        let &Window { kernel, stride, padding, out_width, .. } = window;
        Self { stride, padding, len: out_width + (kernel - 1) / stride }
    }

    /// Floats of a row. The padding's place holds anything.
    fn row(&self) -> usize {
        self.stride * self.len
    }

    /// Where the columns `first`, `first + stride`, … of a row lie, those that windows meet.
    #[inline(always)]
    fn places(&self, first: usize) -> Range<usize> {
        let phase = (first + self.padding) % self.stride;
        phase * self.len + (first + self.padding) / self.stride..(phase + 1) * self.len
    }

    #[inline(always)]
    fn take_apart(&self, row: &[f32], phases: &mut [f32]) {
        for first in 0..self.stride.min(row.len()) {
            let phase = &mut phases[self.places(first)];
            match self.stride {
                // Chunks of constant length become vectors.
                2 => phase.iter_mut().zip(row[first..].chunks(2)).for_each(|(to, from)| *to = from[0]),
                stride => phase.iter_mut().zip(row[first..].iter().step_by(stride)).for_each(|(to, &from)| *to = from),
            }
        }
    }

    #[inline(always)]
    fn put_together(&self, phases: &[f32], row: &mut [f32]) {
        row.fill(0.0);
        let mut done = 0;
        if self.stride == 2 && row.len() >= 2 {
            let (even, odd) = (&phases[self.places(0)], &phases[self.places(1)]);
            done = even.len().min(odd.len()).min(row.len() / 2);
            let pairs = row.chunks_exact_mut(2).zip(even.iter().zip(odd));
            pairs.for_each(|(to, (&even, &odd))| (to[0], to[1]) = (even, odd));
        }
        for first in 0..self.stride.min(row.len()) {
            let columns = row[first..].iter_mut().step_by(self.stride).zip(&phases[self.places(first)]).skip(done);
            columns.for_each(|(to, &from)| *to = from);
        }
    }

    /// `left`: a row of windows, what of their gradients is not handed out yet.
    #[inline(always)]
    fn spread(&self, window: &Window, x: &[f32], (y, dy): (&[f32], &[f32]), left: &mut [f32], dx: &mut [f32]) {
        let windows = y.chunks_exact(window.out_width).zip(dy.chunks_exact(window.out_width));
        for (oy, (y, dy)) in windows.enumerate() {
            left.copy_from_slice(dy);
            for row in window.rows(oy) {
                let row = row * self.row()..(row + 1) * self.row();
                let (x, dx) = (&x[row.clone()], &mut dx[row]);
                for kx in 0..window.kernel {
                    let (windows, _) = window.span(kx, window.width, window.out_width);
                    let place = kx % self.stride * self.len + kx / self.stride;
                    let (x, dx) = (&x[place..][windows.clone()], &mut dx[place..][windows.clone()]);
                    let most = y[windows.clone()].iter().zip(&mut left[windows]);
                    for ((x, dx), (most, left)) in x.iter().zip(dx).zip(most) {
                        // With masks in place of branches: stores that leave elements out would be waited for.
                        let mask = u32::from(is_largest(*x, *most)).wrapping_neg();
                        *dx += f32::from_bits(left.to_bits() & mask);
                        *left = f32::from_bits(left.to_bits() & !mask);
                    }
                }
            }
        }
    }
}
