//! What the policy kept and what it dropped, and why.

use std::collections::BTreeMap;

use super::{Section, as_table, card, first_of, grid, table};
use crate::report::chart::{Share, histogram, shares};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::picture::{picture, provenance, spaced};
use crate::report::view::{Decision, Subset};
use crate::report::words;

/// Reasons shown a side; the rest is counted.
const MOST_GROUPS: usize = 5;
/// Images shown a side, shared by its reasons, in rows of [`ROW`].
const MOST_IMAGES: usize = 28;
/// Images in a row on a wide screen.
const ROW: usize = 7;
/// Rows of the table of decisions.
const MOST_ROWS: usize = 200;
/// Characters of a reason that are shown.
const MOST_REASON: usize = 160;
const MOST_CLASSES: usize = 40;

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let subset = inputs.subset.as_ref().filter(|subset| !subset.decisions.is_empty())?;
    let (kept, dropped): (Vec<_>, Vec<_>) = subset.decisions.iter().partition(|one| one.kept);
    let sides = grid([side(inputs, "Kept", &kept), side(inputs, "Dropped", &dropped)]);
    let charts = grid(
        [Some(by_class(subset)), scores(&kept, &dropped).or_else(|| teacher(&kept, &dropped))].into_iter().flatten(),
    );
    let lead = format!(
        "{} kept {} of {} and dropped {}. For each reason there are some images, evenly spaced from the highest \
         score to the lowest.",
        policy(subset),
        words::thousands(kept.len() as u64),
        words::counted(subset.decisions.len(), "image"),
        words::thousands(dropped.len() as u64),
    );
    let body = html!("{}{}{}", sides, charts, decisions(&subset.decisions));
    Some(Section { id: "kept", title: "Kept and dropped", lead, body })
}

fn policy(subset: &Subset) -> String {
    if !subset.chain.is_empty() {
        let names: Vec<&str> = subset.chain.iter().map(|policy| policy.name.as_str()).collect();
        return format!("The policies “{}”, one after the other,", words::clipped(&names.join("”, “"), 200));
    }
    match &subset.policy {
        Some(policy) if !policy.name.is_empty() => format!("Policy “{}”", words::clipped(&policy.name, 60)),
        _ => "No policy was asked; the budget".into(),
    }
}

/// The decisions of one kind, grouped by reason, most frequent first.
fn side(inputs: &Inputs, title: &str, decisions: &[&Decision]) -> Html {
    let mut groups = BTreeMap::<String, Vec<&Decision>>::new();
    decisions.iter().for_each(|one| groups.entry(pattern(&one.reason)).or_default().push(one));
    let mut groups = groups.into_values().collect::<Vec<_>>();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let hidden = groups.iter().skip(MOST_GROUPS).map(Vec::len).sum::<usize>();
    let rows = MOST_IMAGES / ROW / groups.len().clamp(1, MOST_GROUPS);
    let most = ROW * rows.max(1);
    let shown = groups.iter().take(MOST_GROUPS).map(|group| reason_group(inputs, group, most)).collect::<Html>();
    let rest =
        (hidden > 0).then(|| html!("<p class=\"rest\">and {} for other reasons</p>", words::counted(hidden, "image")));
    let none = decisions.is_empty().then(|| html!("<p class=\"rest\">None.</p>"));
    card(title, &words::counted(decisions.len(), "image"), html!("{}{}{}", shown, rest, none))
}

/// One reason with some of its images, from the highest to the lowest score.
fn reason_group(inputs: &Inputs, group: &[&Decision], most: usize) -> Html {
    let mut by_score = group.to_vec();
    let rank = |one: &Decision| one.score.or(one.teacher_p_class).unwrap_or(0.0);
    by_score.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    let pictures = spaced(&by_score, most).into_iter().filter_map(|one| thumb(inputs, one)).collect::<Html>();
    let example = group.first().map_or("", |one| one.reason.as_str());
    let reason = if example.trim().is_empty() { "no reason given" } else { example };
    html!(
        "<section class=\"reason\"><h4><q>{}</q><span class=\"count\">{}</span></h4><div class=\"thumbs\">{}</div></section>",
        words::clipped(reason, MOST_REASON),
        words::thousands(group.len() as u64),
        pictures
    )
}

/// A picture with its class, its score and, if the teacher sees something else in it, what.
fn thumb(inputs: &Inputs, one: &Decision) -> Option<Html> {
    let sample = inputs.samples.get(&one.id)?;
    let mut title = provenance(sample);
    if let (Some(seen), Some(probability)) = (one.teacher_class, one.teacher_p_class) {
        title += &format!(
            "; the teacher sees {seen}, and class {} with probability {}",
            one.class,
            words::short(probability)
        );
    }
    let verdict = if one.kept { "kept" } else { "dropped" };
    title += &format!("; {verdict}: {}", words::clipped(&one.reason, MOST_REASON));
    let score = one.score.map(|score| html!(": {}", words::brief(score)));
    let seen = one.teacher_class.filter(|seen| *seen != one.class).map(|seen| html!("<br>seen as {}", seen));
    Some(html!(
        "<figure>{}<figcaption>as {}{}{}</figcaption></figure>",
        picture(sample, &title),
        one.class,
        score,
        seen
    ))
}

/// A reason with every number replaced, so that reasons that differ only in numbers are the same.
fn pattern(reason: &str) -> String {
    let mut pattern = String::new();
    for c in reason.chars() {
        let number = c.is_ascii_digit() || (matches!(c, '.' | ',') && pattern.ends_with('#'));
        match number {
            true if pattern.ends_with('#') => {}
            true => pattern.push('#'),
            false => pattern.push(c),
        }
    }
    pattern
}

fn by_class(subset: &Subset) -> Html {
    let mut classes = BTreeMap::<u32, [u64; 2]>::new();
    for one in &subset.decisions {
        classes.entry(one.class).or_default()[usize::from(!one.kept)] += 1;
    }
    let share =
        |(class, [first, second]): (&u32, &[u64; 2])| Share { name: class.to_string(), first: *first, second: *second };
    let bars = classes.iter().take(MOST_CLASSES).map(share).collect::<Vec<_>>();
    let svg = shares(&bars, ["kept", "dropped"], "images", "Images kept and dropped in each class, as bars.");
    let rows = classes
        .iter()
        .map(|(class, [kept, dropped])| vec![class.to_string(), words::thousands(*kept), words::thousands(*dropped)]);
    let table = as_table(&["class", "kept", "dropped"], rows.collect());
    let remark = format!("How many images of each class stayed.{}", first_of(bars.len(), classes.len()));
    card("By class", &remark, html!("{}{}{}", legend(), svg, table))
}

fn scores(kept: &[&Decision], dropped: &[&Decision]) -> Option<Html> {
    let remark = "How the policy scored them; higher is better to it.";
    distribution("Scores", remark, "score", [kept, dropped], |one| one.score)
}

/// For policies that give no scores.
fn teacher(kept: &[&Decision], dropped: &[&Decision]) -> Option<Html> {
    let remark = "The probability that the teacher gives to the class that was asked for.";
    distribution("The teacher’s view", remark, "probability", [kept, dropped], |one| one.teacher_p_class)
}

fn distribution(
    title: &str,
    remark: &str,
    unit: &str,
    sides: [&[&Decision]; 2],
    value: fn(&Decision) -> Option<f64>,
) -> Option<Html> {
    let [kept, dropped] = sides.map(|side| side.iter().filter_map(|one| value(one)).collect::<Vec<_>>());
    let label = format!("Histogram of the {unit} of kept and dropped images.");
    let svg = histogram(&kept, &dropped, ["kept", "dropped"], unit, &label)?;
    let rows = vec![quantiles("kept", kept), quantiles("dropped", dropped)];
    let table = as_table(&["", "images", "lowest", "median", "highest"], rows);
    Some(card(title, remark, html!("{}{}{}", legend(), svg, table)))
}

fn quantiles(name: &str, mut values: Vec<f64>) -> Vec<String> {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        values.get(((values.len().max(1) - 1) as f64 * part) as usize).map_or("–".into(), |v| words::short(*v))
    };
    vec![name.into(), words::thousands(values.len() as u64), at(0.0), at(0.5), at(1.0)]
}

fn legend() -> Html {
    html!(
        "<ul class=\"legend\"><li><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><rect class=\"bar\" width=\"16\" height=\"16\"/></svg>kept</li>\
         <li><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><rect class=\"bar second\" width=\"16\" height=\"16\"/></svg>dropped</li></ul>"
    )
}

/// The decisions in words, dropped ones first: what pointing at an image shows.
fn decisions(all: &[Decision]) -> Html {
    let mut order = all.iter().collect::<Vec<_>>();
    order.sort_by_key(|one| (one.kept, one.id));
    let rows = order.iter().take(MOST_ROWS).map(|one| {
        let score = one.score.map_or("–".into(), words::short);
        let verdict = if one.kept { "kept" } else { "dropped" };
        vec![one.id.to_string(), one.class.to_string(), verdict.into(), score, words::clipped(&one.reason, MOST_REASON)]
    });
    let table = table(&["image", "class", "decision", "score", "reason"], rows.collect());
    let title = match all.len() {
        count if count > MOST_ROWS => {
            format!("The first {MOST_ROWS} of {} decisions in words", words::thousands(count as u64))
        }
        1 => "The decision in words".to_owned(),
        count => format!("All {count} decisions in words"),
    };
    html!("<details class=\"card wordy\"><summary>{}</summary>{}</details>", title, table)
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn reasons_that_differ_in_numbers_are_the_same() {
        assert_eq!(pattern("confidence 0.53, below 0.7"), "confidence #below #".replace("#below", "# below"));
        assert_eq!(pattern("taken for 8, asked for 3"), pattern("taken for 10, asked for 4"));
        assert_ne!(pattern("too dark"), pattern("too bright"));
    }
}
