//! How often values occur, of one or two groups stacked on each other.

use super::{Axis, Frame, Html, html};
use crate::report::words;

const BINS: usize = 30;

/// A histogram of `lower`, and of `upper` hatched above it; `names` says what they are.
///
/// `None` when there is no finite value.
pub(in crate::report) fn histogram(
    lower: &[f64],
    upper: &[f64],
    names: [&str; 2],
    title: &str,
    label: &str,
) -> Option<Html> {
    let all = || lower.iter().chain(upper).copied().filter(|value| value.is_finite());
    all().next()?;
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let x = Axis::linear(low, high, title);
    let (lower, upper) = (counts(lower, &x), counts(upper, &x));
    let most = lower.iter().zip(&upper).map(|(a, b)| a + b).max().unwrap_or(1);
    let y = Axis::linear(0.0, 1.05 * most.max(1) as f64, "images");
    let frame = Frame { x: &x, y: Some(&y), height: 250.0, left: 62.0, open: false };
    let (width, height) = frame.inner();
    let bar = |bin: usize, from: u64, count: u64, class: &'static str, name: &str| {
        let top = (1.0 - y.position((from + count) as f64)) * height;
        let bottom = (1.0 - y.position(from as f64)) * height;
        html!(
            "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}: {}</title></rect>",
            class,
            bin as f64 * width / BINS as f64 + 0.5,
            top,
            width / BINS as f64 - 1.0,
            bottom - top,
            name,
            words::thousands(count)
        )
    };
    let marks = (0..BINS).flat_map(|bin| {
        let below = (lower[bin] > 0).then(|| bar(bin, 0, lower[bin], "bar", names[0]));
        let above = (upper[bin] > 0).then(|| bar(bin, lower[bin], upper[bin], "bar second", names[1]));
        below.into_iter().chain(above)
    });
    Some(frame.draw(label, marks.collect(), Html::default()))
}

/// How many values fall into each bin of the axis.
fn counts(values: &[f64], axis: &Axis) -> [u64; BINS] {
    let mut counts = [0; BINS];
    for value in values.iter().filter(|value| value.is_finite()) {
        counts[((axis.position(*value) * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    counts
}
