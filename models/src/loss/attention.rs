//! Attention transfer (Zagoruyko and Komodakis, arXiv 1612.03928): where the student's activations are strong, so should
//! they be as the teacher's are.

use candle_core::{D, Result, Tensor, bail};

use super::weighted_mean;

/// Under the root of a norm: a map without any activation has no direction, and then no gradient.
const TINY: f64 = 1e-24;

/// `mean of wᵢ · mean over positions of (Q̂(studentᵢ) − Q̂(teacherᵢ))²`, where Q̂ is the map of mean squares over the
/// channels, scaled to norm 1 (their `at_loss`). Of feature maps `[n, channels, height, width]`; the numbers of channels may
/// differ. A network of several stages sums this over them.
pub fn attention_transfer(student: &Tensor, teacher: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
    let (s, t) = (student.dims4()?, teacher.dims4()?);
    if (s.0, s.2, s.3) != (t.0, t.2, t.3) {
        bail!("attention: the student's maps are {:?}, the teacher's {:?}", student.dims(), teacher.dims());
    }
    let gap = (map(student)? - map(&teacher.detach())?)?;
    weighted_mean(&gap.sqr()?.mean(D::Minus1)?, weights)
}

/// `[n, positions]`, each of norm 1.
fn map(features: &Tensor) -> Result<Tensor> {
    let map = features.sqr()?.mean(1)?.flatten_from(1)?;
    let norm = (map.sqr()?.sum_keepdim(D::Minus1)? + TINY)?.sqrt()?;
    map.broadcast_div(&norm)
}
