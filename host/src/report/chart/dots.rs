//! Rows of markers on a common axis: how close a few accuracies are.

use super::{Axis, Frame, Html, Ink, html};
use crate::report::words;

/// One row.
pub(in crate::report) struct Dots {
    pub(in crate::report) name: String,
    /// Ink, value and what to say of it.
    pub(in crate::report) marks: Vec<(Ink, f64, String)>,
    /// A bar from mean - sd to mean + sd, with its ink.
    pub(in crate::report) spread: Option<(Ink, f64, f64)>,
}

/// How rows are labelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    Above,
    Beside,
}

/// A chart with a row each, on an axis of shares. `spacious` puts the names above the rows, for few rows with long names.
pub(in crate::report) fn dots(rows: &[Dots], spacious: bool, label: &str) -> Html {
    let labels = if spacious { Labels::Above } else { Labels::Beside };
    let axis = axis(rows);
    let (row_height, left) = if spacious { (46.0, 8.0) } else { (22.0, 40.0) };
    let height = row_height * rows.len() as f64 + Frame::TOP + Frame::BOTTOM;
    let frame = Frame { x: &axis, y: None, height, left, open: true };
    let (width, _) = frame.inner();
    let at = |i: usize| row_height * (i as f64 + if spacious { 0.7 } else { 0.5 });
    let marks = rows.iter().enumerate().map(|(i, row)| row_marks(row, &axis, width, at(i))).collect();
    let names = rows.iter().enumerate().map(|(i, row)| name(row, labels, Frame::TOP + at(i), left)).collect();
    frame.draw(label, marks, names)
}

/// The share at which the axis of these rows begins.
pub(in crate::report) fn begins(rows: &[Dots]) -> f64 {
    axis(rows).low()
}

fn axis(rows: &[Dots]) -> Axis {
    let spread = rows.iter().filter_map(|row| row.spread).flat_map(|(_, mean, std)| [mean - std, mean + std]);
    let values = rows.iter().flat_map(|row| row.marks.iter().map(|mark| mark.1)).chain(spread);
    Axis::shares(values, "top-1 accuracy")
}

fn row_marks(row: &Dots, axis: &Axis, width: f64, y: f64) -> Html {
    let x = |value: f64| axis.position(value) * width;
    let track = html!("<line class=\"track\" x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", width, y, y);
    let spread = row.spread.map(|(ink, mean, std)| {
        html!(
            "<line class=\"spread {}\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"><title>{} ± {}</title></line>",
            ink.class(),
            x(mean - std),
            x(mean + std),
            y,
            y,
            words::percent(mean),
            words::percent(std)
        )
    });
    let marks = row.marks.iter().map(|(ink, value, title)| ink.marker(x(*value), y, title));
    html!("{}{}{}", track, spread, marks.collect::<Html>())
}

fn name(row: &Dots, labels: Labels, y: f64, left: f64) -> Html {
    match labels {
        Labels::Above => html!("<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>", left, y - 13.0, row.name),
        Labels::Beside => {
            html!("<text class=\"name\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", left - 8.0, y + 4.0, row.name)
        }
    }
}
