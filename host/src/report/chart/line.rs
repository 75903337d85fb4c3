//! Lines over steps: losses and accuracies.

use super::{Axis, Frame, Html, Ink, html};

/// More points than this are averaged in groups.
const MOST_POINTS: usize = 240;

/// A line with a name.
pub(in crate::report) struct Series {
    pub(in crate::report) ink: Ink,
    pub(in crate::report) name: String,
    /// In rising x.
    pub(in crate::report) points: Vec<(f64, f64)>,
}

/// A chart of all series on these axes.
pub(in crate::report) fn lines(series: &[Series], x: &Axis, y: &Axis, label: &str) -> Html {
    let frame = Frame { x, y: Some(y), height: 280.0, left: 64.0, open: false };
    let (width, height) = frame.inner();
    let marks = series.iter().map(|line| {
        let points = thinned(&line.points);
        let path = points.iter().enumerate().map(|(i, &(at, value))| {
            let command = if i == 0 { "M" } else { "L" };
            html!("{}{} {}", command, x.position(at) * width, (1.0 - y.position(value)) * height)
        });
        html!(
            "<path class=\"line {}\" d=\"{}\"><title>{}</title></path>",
            line.ink.class(),
            path.collect::<Html>(),
            line.name
        )
    });
    frame.draw(label, marks.collect(), Html::default())
}

/// A legend of lines, one entry an ink.
pub(in crate::report) fn legend(entries: &[(Ink, String)]) -> Html {
    let swatch = |ink: Ink| {
        html!(
            "<svg viewBox=\"0 0 28 16\" class=\"wide\" aria-hidden=\"true\"><path class=\"line {}\" d=\"M1 8H27\"/></svg>",
            ink.class()
        )
    };
    entries.iter().map(|(ink, name)| html!("<li>{}{}</li>", swatch(*ink), name)).collect()
}

/// The finite points, averaged in equal groups when there are many.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect::<Vec<_>>();
    let group = finite.len().div_ceil(MOST_POINTS).max(1);
    let mean = |group: &[(f64, f64)]| {
        let (x, y) = group.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / group.len() as f64, y / group.len() as f64)
    };
    finite.chunks(group).map(mean).collect()
}
