//! Horizontal bars in two parts: of each class, how much was kept.

use super::{Axis, Frame, Html, html};
use crate::report::words;

/// One bar.
pub(in crate::report) struct Share {
    pub(in crate::report) name: String,
    pub(in crate::report) first: u64,
    pub(in crate::report) second: u64,
}

/// A bar each; the second part is hatched. `names` says what the parts are.
pub(in crate::report) fn shares(rows: &[Share], names: [&str; 2], title: &str, label: &str) -> Html {
    const ROW: f64 = 20.0;
    let most = rows.iter().map(|row| row.first.saturating_add(row.second)).max().unwrap_or(1);
    let axis = Axis::linear(0.0, 1.02 * most.max(1) as f64, title);
    let height = ROW * rows.len() as f64 + Frame::TOP + Frame::BOTTOM;
    let frame = Frame { x: &axis, y: None, height, left: 54.0, open: true };
    let (width, _) = frame.inner();
    let bar = |from: u64, count: u64, y: f64, class: &'static str, title: String| {
        html!(
            "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
            class,
            axis.position(from as f64) * width,
            y + 3.0,
            axis.position(count as f64) * width,
            ROW - 6.0,
            title
        )
    };
    let marks = rows.iter().enumerate().map(|(i, row)| {
        let y = ROW * i as f64;
        let words = |count, part| format!("{}: {} {part}", row.name, words::thousands(count));
        let first = bar(0, row.first, y, "bar", words(row.first, names[0]));
        html!("{}{}", first, bar(row.first, row.second, y, "bar second", words(row.second, names[1])))
    });
    let labels = rows.iter().enumerate().map(|(i, row)| {
        let y = Frame::TOP + ROW * i as f64 + ROW / 2.0 + 4.0;
        html!("<text class=\"name\" x=\"46\" y=\"{}\" text-anchor=\"end\">{}</text>", y, row.name)
    });
    frame.draw(label, marks.collect(), labels.collect())
}
