//! Where the student errs: the confusion matrix and the accuracy of each class.

use std::collections::BTreeMap;

use super::{Section, arm_name, as_table, card, first_of, grid};
use crate::report::chart::{Dots, Ink, begins, dots, marker_legend};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::view::{Arm, Judgement};
use crate::report::words;

/// With more classes than this a matrix can't be read; the most frequent errors are listed instead.
const MOST_CLASSES: usize = 20;
const MOST_CONFUSED: usize = 9;

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let judgement = inputs.judgement.as_ref()?;
    let (name, arm) = judgement.arms.get_key_value("synthetic").or_else(|| judgement.arms.iter().next())?;
    let confusion = summed(arm);
    if confusion.is_empty() {
        return None;
    }
    let seeds = words::counted(arm.students.len(), "seed");
    let matrix = (confusion.len() <= MOST_CLASSES).then(|| {
        let remark = format!(
            "Rows are the true classes, columns the answers of the {}; images, summed over {seeds}.",
            words::clipped(&arm_name(name), 60)
        );
        card("Confusion", &remark, heat_map(&confusion))
    });
    let classes = class_chart(judgement);
    let confused = card("Most confused", "The most frequent errors.", confused(&confusion));
    let body = html!("{}{}", grid([matrix, classes].into_iter().flatten()), confused);
    let right = confusion.iter().enumerate().map(|(i, row)| row[i]).sum::<u64>();
    let all = confusion.iter().flatten().sum::<u64>();
    let lead =
        format!("{} of {} answers were wrong, over {seeds}.", words::thousands(all - right), words::thousands(all));
    Some(Section { id: "errors", title: "Where it errs", lead, body })
}

/// The square confusion matrices of all seeds together; empty when there is none or they differ in size.
fn summed(arm: &Arm) -> Vec<Vec<u64>> {
    let size = arm.students.first().map_or(0, |student| student.confusion.len());
    let square = |matrix: &Vec<Vec<u64>>| matrix.len() == size && matrix.iter().all(|row| row.len() == size);
    if !arm.students.iter().all(|student| square(&student.confusion)) {
        return Vec::new();
    }
    let cell =
        |i: usize, j: usize| arm.students.iter().map(|student| student.confusion[i][j]).fold(0, u64::saturating_add);
    (0..size).map(|i| (0..size).map(|j| cell(i, j)).collect()).collect()
}

/// A table whose cells are coloured by their share of the row; wrong cells by the root of it, so that few still show.
fn heat_map(confusion: &[Vec<u64>]) -> Html {
    let worst = wrong(confusion).map(|(share, ..)| share).fold(0.0, f64::max).max(1e-9);
    let cell = |i: usize, j: usize, count: u64, total: u64| {
        let share = count as f64 / total.max(1) as f64;
        let (class, depth) = if i == j { ("right", share) } else { ("wrong", (share / worst).sqrt()) };
        let title = format!(
            "{i} taken for {j}: {} of {}, {}",
            words::thousands(count),
            words::thousands(total),
            words::percent(share)
        );
        let shown = if count == 0 { "·".to_owned() } else { words::thousands(count) };
        html!("<td class=\"{}\" style=\"--depth:{}\" title=\"{}\">{}</td>", class, depth, title, shown)
    };
    let row = |(i, row): (usize, &Vec<u64>)| {
        let total = row.iter().sum();
        let cells = row.iter().enumerate().map(|(j, &count)| cell(i, j, count, total)).collect::<Html>();
        html!("<tr><th scope=\"row\">{}</th>{}</tr>", i, cells)
    };
    let heads = (0..confusion.len()).map(|j| html!("<th scope=\"col\">{}</th>", j)).collect::<Html>();
    html!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"table\" tabindex=\"0\"><table class=\"heat\"><thead><tr><td class=\"corner\">true \\ taken for</td>{}</tr></thead><tbody>{}</tbody></table></div>",
        heads,
        confusion.iter().enumerate().map(row).collect::<Html>()
    )
}

/// Share of the row, true class, predicted class and count of every error.
fn wrong(confusion: &[Vec<u64>]) -> impl Iterator<Item = (f64, usize, usize, u64)> {
    confusion.iter().enumerate().flat_map(|(i, row)| {
        let total = row.iter().sum::<u64>().max(1) as f64;
        let cells = row.iter().enumerate().filter(move |(j, count)| *j != i && **count > 0);
        cells.map(move |(j, &count)| (count as f64 / total, i, j, count))
    })
}

fn confused(confusion: &[Vec<u64>]) -> Html {
    let mut errors = wrong(confusion).collect::<Vec<_>>();
    errors.sort_by(|a, b| b.3.cmp(&a.3).then((a.1, a.2).cmp(&(b.1, b.2))));
    let pairs = errors.iter().take(MOST_CONFUSED).map(|(share, i, j, count)| {
        let of_class = format!("{}, {} of the class", words::counted(*count as usize, "image"), words::percent(*share));
        html!("<li><b>{} taken for {}</b><span>{}</span></li>", *i, *j, of_class)
    });
    html!("<ol class=\"pairs\">{}</ol>", pairs.collect::<Html>())
}

/// The accuracy of each class by every arm (mean over seeds) and the teacher.
fn class_chart(judgement: &Judgement) -> Option<Html> {
    let mut judged = judgement
        .arms
        .iter()
        .map(|(name, arm)| (Ink::of_arm(name), words::clipped(&arm_name(name), 60), means(arm)))
        .collect::<Vec<_>>();
    judged.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    if let Some(teacher) = &judgement.teacher {
        judged.push((
            Ink::Teacher,
            "teacher".into(),
            teacher.per_class.iter().copied().enumerate().filter_map(|(i, v)| Some((i, v?))).collect(),
        ));
    }
    let classes = judged.iter().flat_map(|(_, _, values)| values.keys().copied()).max()? + 1;
    let row = |class: usize| {
        let mark = |(ink, name, values): &(Ink, String, BTreeMap<usize, f64>)| {
            let value = *values.get(&class)?;
            Some((*ink, value, format!("class {class}, {name}: {}", words::percent(value))))
        };
        Dots { name: class.to_string(), marks: judged.iter().rev().filter_map(mark).collect(), spread: None }
    };
    let rows = (0..classes.min(2 * MOST_CLASSES)).map(row).collect::<Vec<_>>();
    let legend = marker_legend(&judged.iter().map(|(ink, name, _)| (*ink, name.clone())).collect::<Vec<_>>());
    let cells = (0..classes).map(|class| {
        let values =
            judged.iter().map(|(_, _, values)| values.get(&class).map_or("–".into(), |value| words::percent(*value)));
        std::iter::once(class.to_string()).chain(values).collect()
    });
    let head = std::iter::once("class").chain(judged.iter().map(|(_, name, _)| name.as_str())).collect::<Vec<_>>();
    let label = "Accuracy on the test images of each class; the figures are in the table below.";
    let body =
        html!("<ul class=\"legend\">{}</ul>{}{}", legend, dots(&rows, false, label), as_table(&head, cells.collect()));
    let remark = format!(
        "Accuracy on the test images of each class, mean over seeds. The axis begins at {}.{}",
        words::percent(begins(&rows)),
        first_of(rows.len(), classes)
    );
    Some(card("By class", &remark, body))
}

fn means(arm: &Arm) -> BTreeMap<usize, f64> {
    let mut sums = BTreeMap::<usize, (f64, f64)>::new();
    for student in &arm.students {
        for (class, value) in student.per_class.iter().enumerate() {
            let sum = sums.entry(class).or_default();
            *sum = value.map_or(*sum, |value| (sum.0 + value, sum.1 + 1.0));
        }
    }
    sums.into_iter().filter(|(_, (_, count))| *count > 0.0).map(|(class, (sum, count))| (class, sum / count)).collect()
}
