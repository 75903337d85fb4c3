//! What follows a convolution while its sums are still at hand.

use std::ops::Range;

use crate::ops::cpu::simd;

/// `relu(sums · scale + shift + residual)`, each part where it is asked for.
#[derive(Clone, Copy, Default)]
pub(in crate::ops) struct Finish<'a> {
    /// A factor for each channel, `[outputs]`.
    pub scale: Option<&'a [f32]>,
    /// Added to all pixels of a channel, `[outputs]`.
    pub shift: Option<&'a [f32]>,
    /// Added pixel by pixel, of the output's shape.
    pub residual: Option<&'a [f32]>,
    /// Whether the result passes through `max(0, ·)`, after the additions.
    pub relu: bool,
    /// Where given, the result then passes through `min(·, this)`.
    pub ceiling: Option<f32>,
}

impl<'a> Finish<'a> {
    /// A bias only.
    pub fn bias(bias: Option<&'a [f32]>) -> Self {
        Self { shift: bias, ..Self::default() }
    }

    /// The part for `range` of the flat result; all channels stay.
    pub fn part(self, range: Range<usize>) -> Self {
        Self { residual: self.residual.map(|all| &all[range]), ..self }
    }

    /// The part for the channels from `first` on; the residual stays.
    pub fn channels_from(self, first: usize) -> Self {
        Self { scale: self.scale.map(|all| &all[first..]), shift: self.shift.map(|all| &all[first..]), ..self }
    }

    /// Whether nothing follows.
    fn is_nothing(self) -> bool {
        self.scale.is_none() && self.shift.is_none() && self.residual.is_none() && !self.relu && self.ceiling.is_none()
    }

    /// One value of channel `c`, at `at` of the flat result.
    #[inline(always)]
    pub fn value(self, sum: f32, c: usize, at: usize) -> f32 {
        let scale = self.scale.map_or(1.0, |scale| scale[c]);
        let shift = self.shift.map_or(0.0, |shift| shift[c]);
        let value = sum.mul_add(scale, shift) + self.residual.map_or(0.0, |residual| residual[at]);
        between(value, self.bounds())
    }

    /// The least and the largest result.
    #[inline(always)]
    fn bounds(self) -> (f32, f32) {
        (if self.relu { 0.0 } else { f32::NEG_INFINITY }, self.ceiling.unwrap_or(f32::INFINITY))
    }

    /// Stores the sums of some pixels of channel `c`, finished; `at` is where `out` begins in the flat result.
    #[inline(always)]
    pub fn store(self, sums: &[f32], c: usize, at: usize, out: &mut [f32]) {
        let scale = self.scale.map_or(1.0, |scale| scale[c]);
        let shift = self.shift.map_or(0.0, |shift| shift[c]);
        let bounds = self.bounds();
        let sums = sums.iter().map(|sum| sum.mul_add(scale, shift));
        match self.residual.map(|all| &all[at..][..out.len()]) {
            None => out.iter_mut().zip(sums).for_each(|(to, sum)| *to = between(sum, bounds)),
            Some(residual) => {
                let pairs = out.iter_mut().zip(sums).zip(residual);
                pairs.for_each(|((to, sum), &r)| *to = between(sum + r, bounds));
            }
        }
    }

    /// Finishes whole images in place, `[images, outputs, pixels]`.
    pub fn apply(self, out: &mut [f32], outputs: usize, pixels: usize) {
        if self.is_nothing() {
            return;
        }
        simd(
            #[inline(always)]
            || {
                for (index, plane) in out.chunks_exact_mut(pixels).enumerate() {
                    let channel = index % outputs;
                    let scale = self.scale.map_or(1.0, |scale| scale[channel]);
                    let shift = self.shift.map_or(0.0, |shift| shift[channel]);
                    let bounds = self.bounds();
                    match self.residual.map(|all| &all[index * pixels..][..pixels]) {
                        None => plane.iter_mut().for_each(|v| *v = between(v.mul_add(scale, shift), bounds)),
                        Some(residual) => {
                            let pairs = plane.iter_mut().zip(residual);
                            pairs.for_each(|(v, &r)| *v = between(v.mul_add(scale, shift) + r, bounds));
                        }
                    }
                }
            },
        );
    }
}

/// `min(max(value, least), most)` that lets NaN through.
#[inline(always)]
fn between(value: f32, (least, most): (f32, f32)) -> f32 {
    let value = if value < least { least } else { value };
    if value > most { most } else { value }
}
