//! Round by round: what was drawn, what the planner knew when it said so, and how the student caught up.

use super::{Section, as_table, card, grid, table};
use crate::report::chart::{Axis, Ink, Series, line_legend, lines};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::view::{ClassLag, Round};
use crate::report::words;

/// Classes with a column or line of their own.
const MOST_CLASSES: usize = 40;
/// Classes named as the reason of a round.
const NAMED: usize = 3;

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let first = inputs.rounds.first()?;
    let planner = match &first.planned.planner {
        Some(planner) => format!("Planner “{}” said", words::clipped(&planner.name, 60)),
        None => "No planner was asked; every class got the same. The table says".into(),
    };
    let lead = format!(
        "{planner} what to draw in each of {}. After a round its student was measured on kept images that no student had \
         learnt from; the real test images took no part.",
        words::counted(inputs.rounds.len(), "round"),
    );
    let classes = inputs.classes().min(MOST_CLASSES);
    let cards = [curve(&inputs.rounds, classes), agreement(&inputs.rounds)].into_iter().flatten();
    let body = html!("{}{}", grid(cards), drawn(&inputs.rounds, classes));
    Some(Section { id: "rounds", title: "Round by round", lead, body })
}

/// What each round drew, and why.
fn drawn(rounds: &[Round], classes: usize) -> Html {
    let heads: Vec<String> = ["round", "images"]
        .map(String::from)
        .into_iter()
        .chain((0..classes).map(|class| format!("of {class}")))
        .chain(["guidance".into(), "steps".into(), "because".into()])
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows = rounds.iter().enumerate().map(|(number, round)| {
        let planned = &round.planned;
        let mut row = vec![(number + 1).to_string(), words::thousands(planned.class.len() as u64)];
        let count = |class: usize| planned.class.iter().filter(|&&drawn| drawn as usize == class).count();
        row.extend((0..classes).map(|class| words::thousands(count(class) as u64)));
        row.extend([range(&planned.guidance), range(&planned.steps), because(&planned.figures.classes)]);
        row
    });
    card("What each round drew", "Images by class, and what the planner knew.", table(&heads, rows.collect()))
}

/// `1.3`, or `1 to 2`.
fn range(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match low < high {
        true => format!("{} to {}", words::short(low), words::short(high)),
        false if low.is_finite() => words::short(low),
        false => "–".into(),
    }
}

/// The classes in which the student lagged most.
fn because(classes: &[ClassLag]) -> String {
    let mut behind: Vec<(usize, f64)> =
        classes.iter().map(|class| class.teacher_accuracy - class.student_accuracy).enumerate().collect();
    behind.retain(|(_, lag)| *lag > 0.0);
    behind.sort_by(|a, b| b.1.total_cmp(&a.1));
    if classes.is_empty() {
        return "there was no student yet".into();
    }
    let named = behind.iter().take(NAMED).map(|(class, lag)| format!("{class} by {}", words::percent(*lag)));
    match behind.is_empty() {
        true => "the student lagged nowhere".into(),
        false => format!("the student lagged in {}", named.collect::<Vec<_>>().join(", ")),
    }
}

/// The student's accuracy on each class, round by round.
fn curve(rounds: &[Round], classes: usize) -> Option<Html> {
    let measured: Vec<(usize, &Vec<ClassLag>)> = rounds
        .iter()
        .enumerate()
        .filter_map(|(number, round)| Some((number + 1, &round.lag.as_ref()?.classes)))
        .collect();
    let last = measured.last()?.0;
    let points = |class: usize| {
        let at = |(number, found): &(usize, &Vec<ClassLag>)| {
            found.get(class).filter(|class| class.held_out > 0).map(|class| (*number as f64, class.student_accuracy))
        };
        measured.iter().filter_map(at).collect::<Vec<_>>()
    };
    let series: Vec<Series> = (0..classes)
        .map(|class| Series { ink: Ink::Drawn, name: format!("class {class}"), points: points(class) })
        .filter(|line| !line.points.is_empty())
        .collect();
    let y = Axis::shares(series.iter().flat_map(|line| line.points.iter().map(|point| point.1)), "accuracy");
    let x = Axis::linear(1.0, last.max(2) as f64, "after round");
    let svg = lines(&series, &x, &y, "The student’s accuracy on each class after each round, a line a class.");
    let heads: Vec<String> =
        std::iter::once("class".into()).chain(measured.iter().map(|(number, _)| format!("round {number}"))).collect();
    let rows = (0..classes).map(|class| {
        let cell = |(_, found): &(usize, &Vec<ClassLag>)| match found.get(class).filter(|class| class.held_out > 0) {
            Some(class) => format!("{} of {}", words::percent(class.student_accuracy), class.held_out),
            None => "–".into(),
        };
        std::iter::once(class.to_string()).chain(measured.iter().map(cell)).collect()
    });
    let table = as_table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), rows.collect());
    let legend = line_legend(&[(Ink::Drawn, "one class".into())]);
    let body = html!("<ul class=\"legend\">{}</ul>{}{}", legend, svg, table);
    Some(card("The student by class", "Its accuracy on held-out drawn images; point at a line for its class.", body))
}

/// How often student and teacher agree, round by round.
fn agreement(rounds: &[Round]) -> Option<Html> {
    let rows: Vec<Vec<String>> = rounds
        .iter()
        .enumerate()
        .filter_map(|(number, round)| {
            let lag = round.lag.as_ref()?;
            let held_out = words::thousands(lag.held_out);
            Some(vec![(number + 1).to_string(), held_out, words::percent(lag.agreement), words::short(lag.mean_kl)])
        })
        .collect();
    let heads = ["after round", "images held out", "agreement", "mean KL"];
    (!rows.is_empty()).then(|| {
        let remark = "Where teacher and student see the same class, and the mean KL(teacher‖student) in nats.";
        card("The student and its teacher", remark, table(&heads, rows))
    })
}
