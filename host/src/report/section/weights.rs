//! How much each image counted in training, as the weigher policy had it.

use std::collections::BTreeMap;

use super::{Section, arm_name, card, grid, table};
use crate::report::chart::histogram;
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::picture::{picture, provenance};
use crate::report::words;

/// Images shown at either end.
const AT_AN_END: usize = 14;

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let arms = mean_weights(inputs);
    // The student first, as everywhere on the page.
    let mut in_order: Vec<_> = arms.iter().collect();
    in_order.sort_by_key(|(arm, _)| **arm != "synthetic");
    let charts = in_order.into_iter().filter_map(|(arm, weights)| chart(arm, weights)).collect::<Vec<_>>();
    if charts.is_empty() {
        return None;
    }
    // The ids of the other arm are rows of the real training images, which a run directory doesn't hold.
    let ends = arms.get("synthetic").map(|weights| ends(inputs, weights));
    let lead = "The mean weight of every image over all steps and seeds, as the weigher policy set it; 1 is the average of a step.";
    let body = grid(charts.into_iter().chain(ends));
    Some(Section { id: "weights", title: "What counted", lead: lead.into(), body })
}

/// By arm and id, averaged over seeds.
fn mean_weights(inputs: &Inputs) -> BTreeMap<&str, BTreeMap<u64, f64>> {
    let mut sums = BTreeMap::<&str, BTreeMap<u64, (f64, f64)>>::new();
    for (arm, weights) in &inputs.weights {
        let arm = sums.entry(arm).or_default();
        for (id, weight) in weights.ids.iter().zip(&weights.mean_weight) {
            let sum = arm.entry(*id).or_default();
            *sum = (sum.0 + weight.unwrap_or(0.0), sum.1 + f64::from(u8::from(weight.is_some())));
        }
    }
    let mean = |(id, (sum, count)): (u64, (f64, f64))| (count > 0.0).then(|| (id, sum / count));
    sums.into_iter().map(|(arm, ids)| (arm, ids.into_iter().filter_map(mean).collect())).collect()
}

fn chart(arm: &str, weights: &BTreeMap<u64, f64>) -> Option<Html> {
    let values = weights.values().copied().collect::<Vec<_>>();
    let svg = histogram(&values, &[], ["images", ""], "mean weight", "Histogram of the mean weights of images.")?;
    let remark = format!("All weights of {}.", words::counted(values.len(), "image"));
    let class = if arm == "real" { "of-real" } else { "" };
    let body = html!("<div class=\"{}\">{}{}</div>", class, svg, figures(values));
    Some(card(&words::clipped(&arm_name(arm), 60), &remark, body))
}

/// The ends and the middle, and how unequal the weights are.
fn figures(mut values: Vec<f64>) -> Html {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).map_or("–".to_owned(), |value| words::short(*value));
    let heaviest = values.iter().rev().take(values.len().div_ceil(10)).sum::<f64>();
    let share = heaviest / values.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let rows = [
        ("lowest", at(0)),
        ("median", at(values.len() / 2)),
        ("highest", at(values.len().saturating_sub(1))),
        ("held by the heaviest tenth", words::percent(share)),
    ];
    table(&["weight", ""], rows.map(|(name, value)| vec![name.into(), value]).into())
}

/// The images at both ends of the order by weight.
fn ends(inputs: &Inputs, weights: &BTreeMap<u64, f64>) -> Html {
    let mut order = weights.iter().map(|(id, weight)| (*id, *weight)).collect::<Vec<_>>();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let count = order.len().div_ceil(2).min(AT_AN_END);
    let most = thumbs(inputs, &order[..count]);
    let least = order.iter().rev().take(count).copied().collect::<Vec<_>>();
    let body = html!(
        "<section class=\"reason\"><h4>highest weight first</h4>{}</section><section class=\"reason\"><h4>lowest weight first</h4>{}</section>",
        most,
        thumbs(inputs, &least)
    );
    card("Most and least", "The images at both ends: class, and how many times an average image they counted.", body)
}

fn thumbs(inputs: &Inputs, images: &[(u64, f64)]) -> Html {
    let figures = images.iter().filter_map(|(id, weight)| {
        let sample = inputs.samples.get(id)?;
        let title = format!("{}; mean weight {}", provenance(sample), words::short(*weight));
        let caption = format!("{}: ×{}", sample.class, words::brief(*weight));
        Some(html!("<figure>{}<figcaption>{}</figcaption></figure>", picture(sample, &title), caption))
    });
    html!("<div class=\"thumbs\">{}</div>", figures.collect::<Html>())
}
