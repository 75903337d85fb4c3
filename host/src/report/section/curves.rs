//! How training went: loss and accuracy over the steps of every seed.

use std::collections::BTreeMap;

use super::{Section, arm_name, as_table, card, grid};
use crate::report::chart::{Axis, Ink, Series, line_legend, lines};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::view::Metric;
use crate::report::words;

/// The values of one student by step.
type Lines<'a> = BTreeMap<(&'a str, u64), Vec<(f64, f64)>>;

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let losses = by_student(&inputs.metrics, |metric| metric.loss);
    let accuracies = by_student(&inputs.metrics, |metric| metric.accuracy);
    if losses.is_empty() && accuracies.is_empty() {
        return None;
    }
    let steps = inputs.metrics.iter().map(|metric| metric.step).max().unwrap_or(0);
    let epochs = inputs
        .plan
        .distill
        .epochs
        .map_or(String::new(), |count| format!(", {}", words::counted(count as usize, "epoch")));
    let lead = format!("{} each{epochs}. One line a seed.", words::counted(steps as usize, "step"));
    let cards = [loss_card(&losses), accuracy_card(&accuracies)];
    Some(Section { id: "training", title: "How it learned", lead, body: grid(cards.into_iter().flatten()) })
}

fn by_student(metrics: &[Metric], value: fn(&Metric) -> Option<f64>) -> Lines<'_> {
    let mut lines = Lines::new();
    for metric in metrics {
        if let Some(value) = value(metric) {
            lines.entry((metric.arm.as_str(), metric.seed)).or_default().push((metric.step as f64, value));
        }
    }
    lines.values_mut().for_each(|points| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    lines
}

fn loss_card(lines: &Lines<'_>) -> Option<Html> {
    let values = lines.values().flatten().map(|point| point.1);
    let y = Axis::of_magnitudes(values, "distillation loss");
    let label = "Distillation loss over steps, a line for every seed of every arm.";
    let remark = "Against the teacher’s softened grades; lower is closer.";
    chart_card("Loss", remark, label, lines, &y, "last loss", |value| format!("{value:.4}"))
}

fn accuracy_card(lines: &Lines<'_>) -> Option<Html> {
    let y = Axis::shares(settled(lines), "top-1 accuracy");
    let label = "Accuracy over steps, a line for every seed of every arm.";
    let remark = match y.low() {
        low if low > 0.0 => {
            format!("On some of the test images after each epoch; the axis begins at {}.", words::percent(low))
        }
        _ => "On some of the test images after each epoch.".to_owned(),
    };
    chart_card("Accuracy", &remark, label, lines, &y, "last accuracy", words::percent)
}

/// The values after the first fifth of each line: the axis is for them, as the beginning is far below.
fn settled(lines: &Lines<'_>) -> Vec<f64> {
    lines.values().flat_map(|points| points[points.len() / 5..].iter().map(|point| point.1)).collect()
}

fn chart_card(
    title: &str,
    remark: &str,
    label: &str,
    students: &Lines<'_>,
    y: &Axis,
    last: &str,
    shown: fn(f64) -> String,
) -> Option<Html> {
    if students.is_empty() {
        return None;
    }
    let steps = students.values().flatten().map(|point| point.0).fold(0.0, f64::max);
    let series = students.iter().map(|((arm, seed), points)| {
        let name = format!("{}, seed {seed}", words::clipped(&arm_name(arm), 60));
        Series { ink: Ink::of_arm(arm), name, points: points.clone() }
    });
    let svg = lines(&series.collect::<Vec<_>>(), &Axis::linear(0.0, steps, "step"), y, label);
    let mut arms =
        students.keys().map(|(arm, _)| (Ink::of_arm(arm), words::clipped(&arm_name(arm), 60))).collect::<Vec<_>>();
    arms.sort();
    arms.dedup();
    let rows = students.iter().map(|((arm, seed), points)| {
        let value = points.last().map_or(String::new(), |point| shown(point.1));
        vec![words::clipped(&arm_name(arm), 60), seed.to_string(), value]
    });
    let table = as_table(&["arm", "seed", last], rows.collect());
    Some(card(title, remark, html!("<ul class=\"legend\">{}</ul>{}{}", line_legend(&arms), svg, table)))
}
