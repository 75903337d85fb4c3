//! In-place changes of a tensor by a gradient and by what is remembered, one pass each, shared out between threads in
//! pieces that don't depend on their number.

use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, bail};
use rayon::prelude::*;

use crate::ops::cpu;

/// Elements a piece: fits the first-level cache with its gradient and moments.
const PIECE: usize = 1 << 13;

/// How one parameter changes. `scale` multiplies the gradient first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// `torch.optim.SGD`.
    Sgd { lr: f32, momentum: f32, nesterov: bool, weight_decay: f32, scale: f32 },
    /// `torch.optim.AdamW`: `step` and `correction` hold the bias corrections, `decay` is `1 − lr · weight decay`.
    AdamW { beta1: f32, beta2: f32, epsilon: f32, step: f32, correction: f32, decay: f32, scale: f32 },
}

impl Change {
    /// Changes `target` by `source`, with two vectors of memory that are as long; SGD's second is empty.
    #[inline(always)]
    fn run(self, target: &mut [f32], source: &[f32], first: &mut [f32], second: &mut [f32]) {
        match self {
            Self::Sgd { lr, momentum, nesterov, weight_decay, scale } => {
                for ((p, g), m) in target.iter_mut().zip(source).zip(first) {
                    let g = weight_decay.mul_add(*p, scale * g);
                    *m = momentum.mul_add(*m, g);
                    let change = if nesterov { momentum.mul_add(*m, g) } else { *m };
                    *p = (-lr).mul_add(change, *p);
                }
            }
            Self::AdamW { beta1, beta2, epsilon, step, correction, decay, scale } => {
                let (new1, new2, spread) = (1.0 - beta1, 1.0 - beta2, 1.0 / correction);
                for (((p, g), m), v) in target.iter_mut().zip(source).zip(first).zip(second) {
                    let g = scale * g;
                    *m = beta1.mul_add(*m, new1 * g);
                    *v = beta2.mul_add(*v, new2 * g * g);
                    *p = decay.mul_add(*p, -step * *m / v.sqrt().mul_add(spread, epsilon));
                }
            }
        }
    }
}

/// A [`Change`] with the memory of one parameter, `[moments, elements]`.
pub(super) struct Pass<'a> {
    change: Change,
    /// candle hands an operation `&self`; nobody else holds the lock.
    memory: Mutex<&'a mut [f32]>,
}

impl<'a> Pass<'a> {
    pub fn new(change: Change, memory: &'a mut [f32]) -> Self {
        Self { change, memory: Mutex::new(memory) }
    }
}

impl InplaceOp2 for Pass<'_> {
    fn name(&self) -> &'static str {
        "optimizer-update"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> Result<()> {
        let (target, source) = both(target, target_layout, source, source_layout)?;
        let mut memory = self.memory.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if memory.len() < target.len() {
            bail!("a parameter of {} elements has {} moments", target.len(), memory.len());
        }
        let (first, second) = memory.split_at_mut(target.len());
        pieces(self.change, target, source, first, second);
        Ok(())
    }
}

/// `target ← keep · target + add · source`.
pub(super) struct Blend {
    pub keep: f32,
    pub add: f32,
}

impl InplaceOp2 for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> Result<()> {
        let (target, source) = both(target, target_layout, source, source_layout)?;
        let (keep, add) = (self.keep, self.add);
        let run = |(target, source): (&mut [f32], &[f32])| {
            cpu::simd(
                #[inline(always)]
                || target.iter_mut().zip(source).for_each(|(t, s)| *t = keep.mul_add(*t, add * s)),
            );
        };
        if target.len() <= 2 * PIECE || cpu::threads() == 1 {
            run((target, source));
        } else {
            target.par_chunks_mut(PIECE).zip(source.par_chunks(PIECE)).for_each(run);
        }
        Ok(())
    }
}

/// The numbers of a target and of its source, which has as many.
fn both<'a>(
    target: &'a mut CpuStorage,
    target_layout: &Layout,
    source: &'a CpuStorage,
    source_layout: &Layout,
) -> Result<(&'a mut [f32], &'a [f32])> {
    let source = cpu::slice(source, source_layout)?;
    let Some((start, end)) = target_layout.contiguous_offsets() else {
        bail!("a tensor to change in place is not contiguous");
    };
    let target = match target {
        CpuStorage::F32(values) => &mut values[start..end],
        _ => bail!("a tensor to change in place is not f32"),
    };
    if source.len() != target.len() {
        bail!("a tensor of {} elements is changed by one of {}", target.len(), source.len());
    }
    Ok((target, source))
}

fn pieces(change: Change, target: &mut [f32], source: &[f32], first: &mut [f32], second: &mut [f32]) {
    let run = |target: &mut [f32], source: &[f32], first: &mut [f32], second: &mut [f32]| {
        cpu::simd(
            #[inline(always)]
            || change.run(target, source, first, second),
        );
    };
    if target.len() <= 2 * PIECE || cpu::threads() == 1 {
        return run(target, source, first, second);
    }
    let count = target.len().div_ceil(PIECE);
    let targets = target.par_chunks_mut(PIECE).zip(source.par_chunks(PIECE));
    let averages = split(first, count).into_par_iter().zip(split(second, count));
    targets.zip(averages).for_each(|((target, source), (first, second))| run(target, source, first, second));
}

/// `count` pieces; those behind the end are empty.
fn split(values: &mut [f32], count: usize) -> Vec<&mut [f32]> {
    let mut pieces: Vec<&mut [f32]> = values.chunks_mut(PIECE).collect();
    pieces.resize_with(count, Default::default);
    pieces
}
