//! What a policy would have done, beside what was done.

use super::{Section, as_table, card, grid};
use crate::replay::{Decision, Replay, Selection, Weights};
use crate::report::chart::{Share, histogram, shares};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::picture::{picture, provenance, spaced};
use crate::report::words;

/// Images shown of those that change sides.
const MOST_IMAGES: usize = 28;
/// Images at either end of the weights.
const AT_AN_END: usize = 14;
/// Characters of a reason that are shown.
const MOST_REASON: usize = 160;
const MOST_CLASSES: usize = 40;

pub(in crate::report) fn sections(inputs: &Inputs, replay: &Replay) -> Vec<Section> {
    let selection = replay.selection.as_ref().map(|selection| self::selection(inputs, selection));
    let weights = replay.weights.as_ref().map(|weights| self::weights(inputs, weights));
    selection.into_iter().chain(weights).collect()
}

fn selection(inputs: &Inputs, selection: &Selection) -> Section {
    let pairs = || selection.then.iter().zip(&selection.now);
    let goes: Vec<_> = pairs().filter(|(then, now)| then.kept && !now.kept).map(|(_, now)| now).collect();
    let comes: Vec<_> = pairs().filter(|(then, now)| !then.kept && now.kept).map(|(_, now)| now).collect();
    let [both, only_then, only_now, neither] = selection.counts();
    let all = words::counted(selection.now.len(), "image");
    let lead = format!(
        "Of {all}, {both} kept by both, {only_then} by the run alone, {only_now} now alone, {neither} by neither."
    );
    let sides = grid([side(inputs, "No longer kept", &goes), side(inputs, "Kept now", &comes)]);
    let charts = grid([Some(by_class(selection)), scores(&selection.now)].into_iter().flatten());
    Section { id: "kept", title: "Kept and dropped", lead, body: html!("{}{}", sides, charts) }
}

/// Images that change sides, evenly spaced, with what the policy says of them.
fn side(inputs: &Inputs, title: &str, decisions: &[&Decision]) -> Html {
    let thumb = |one: &Decision| {
        let sample = inputs.samples.get(&one.id)?;
        let title = format!("{}; {}", provenance(sample), words::clipped(&one.reason, MOST_REASON));
        let score = one.score.map(|score| format!(": {}", words::brief(score.into()))).unwrap_or_default();
        let caption = format!("as {}{score}", one.class);
        Some(html!("<figure>{}<figcaption>{}</figcaption></figure>", picture(sample, &title), caption))
    };
    let pictures = spaced(decisions, MOST_IMAGES).into_iter().filter_map(thumb).collect::<Html>();
    let none = decisions.is_empty().then(|| html!("<p class=\"rest\">None.</p>"));
    let body = html!("<div class=\"thumbs\">{}</div>{}", pictures, none);
    card(title, &words::counted(decisions.len(), "image"), body)
}

fn by_class(selection: &Selection) -> Html {
    let classes = selection.by_class();
    let share = |(class, [all, _, now]): (&u32, &[usize; 3])| Share {
        name: class.to_string(),
        first: *now as u64,
        second: (all - now) as u64,
    };
    let bars = classes.iter().take(MOST_CLASSES).map(share).collect::<Vec<_>>();
    let svg = shares(&bars, ["kept now", "dropped now"], "images", "Images kept and dropped in each class, as bars.");
    let row = |(class, counts): (&u32, &[usize; 3])| {
        let [all, then, now] = counts.map(|count| words::thousands(count as u64));
        vec![class.to_string(), all, then, now]
    };
    let table = as_table(&["class", "images", "kept by the run", "kept now"], classes.iter().map(row).collect());
    card("By class", "How many images of each class stay now; the rest is hatched.", html!("{}{}", svg, table))
}

fn scores(now: &[Decision]) -> Option<Html> {
    let of = |kept: bool| now.iter().filter(move |one| one.kept == kept).filter_map(|one| one.score.map(f64::from));
    let (kept, dropped) = (of(true).collect::<Vec<_>>(), of(false).collect::<Vec<_>>());
    let svg = histogram(&kept, &dropped, ["kept", "dropped"], "score", "Histogram of the scores.")?;
    Some(card("Scores", "How the policy scores the images; those that are dropped are hatched.", svg))
}

fn weights(inputs: &Inputs, weights: &Weights) -> Section {
    let chart = |title: &str, remark: &str, values: &[f64]| {
        histogram(values, &[], ["images", ""], "weight", "Histogram of the weights of images.")
            .map(|svg| card(title, remark, svg))
    };
    let charts = [
        chart("Weights now", "As in the last epoch of the training that is done.", &weights.now),
        chart("Weights of the run", "Means over all steps and seeds.", &weights.then),
    ];
    let body = grid(charts.into_iter().flatten().chain([ends(inputs, weights)]));
    let rank = weights.rank_correlation();
    let lead = match rank {
        Some(rank) => {
            format!("The rank correlation with the run's weights is {}; 1 is the average weight.", words::short(rank))
        }
        None => "The run, or the policy, gives every image the same weight: 1.".to_owned(),
    };
    Section { id: "weights", title: "What counts", lead, body }
}

/// The images whose weight rises and falls most.
fn ends(inputs: &Inputs, weights: &Weights) -> Html {
    let changes = weights.ids.iter().zip(weights.then.iter().zip(&weights.now));
    let mut order: Vec<(u64, f64, f64)> = changes.map(|(id, (then, now))| (*id, *then, *now)).collect();
    order.sort_by(|a, b| (b.2 - b.1).total_cmp(&(a.2 - a.1)).then(a.0.cmp(&b.0)));
    let count = order.len().div_ceil(2).min(AT_AN_END);
    let falls: Vec<_> = order.iter().rev().take(count).copied().collect();
    let thumbs = |images: &[(u64, f64, f64)]| {
        let figures = images.iter().filter_map(|(id, then, now)| {
            let sample = inputs.samples.get(id)?;
            let caption = format!("{}: {} → {}", sample.class, words::brief(*then), words::brief(*now));
            Some(html!("<figure>{}<figcaption>{}</figcaption></figure>", picture(sample, &provenance(sample)), caption))
        });
        html!("<div class=\"thumbs\">{}</div>", figures.collect::<Html>())
    };
    let body = html!(
        "<section class=\"reason\"><h4>rises most</h4>{}</section><section class=\"reason\"><h4>falls most</h4>{}</section>",
        thumbs(&order[..count]),
        thumbs(&falls)
    );
    card("What changes most", "Class, weight in the run, weight now.", body)
}
