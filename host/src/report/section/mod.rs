//! The sections of the report, each from its part of the run; one without anything to show is left out.

mod curves;
mod drawn;
mod errors;
mod machine;
mod overview;
mod recipe;
mod replay;
mod rounds;
mod selection;
mod weights;

use super::html::{Html, html};
use super::input::Inputs;

pub(super) use overview::overview;
pub(super) use replay::sections as replay;

/// A part of the page with a heading.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// A sentence or two under the heading.
    pub(super) lead: String,
    pub(super) body: Html,
}

/// The sections that this run has something to show in.
pub(super) fn sections(inputs: &Inputs) -> Vec<Section> {
    let all: [fn(&Inputs) -> Option<Section>; 8] = [
        drawn::section,
        rounds::section,
        selection::section,
        weights::section,
        curves::section,
        errors::section,
        machine::section,
        recipe::section,
    ];
    all.iter().filter_map(|section| section(inputs)).collect()
}

/// A picture or table in a frame of its own, with a heading and a remark.
fn card(title: &str, remark: &str, body: Html) -> Html {
    html!("<figure class=\"card\"><figcaption><h3>{}</h3><p>{}</p></figcaption>{}</figure>", title, remark, body)
}

/// Cards beside each other where the screen allows it.
fn grid(cards: impl IntoIterator<Item = Html>) -> Html {
    html!("<div class=\"grid\">{}</div>", cards.into_iter().collect::<Html>())
}

/// What a chart shows, as a table that opens on demand.
fn as_table(head: &[&str], rows: Vec<Vec<String>>) -> Html {
    html!("<details><summary>As a table</summary>{}</details>", table(head, rows))
}

/// A table of text; all but the first column hold numbers.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> Html {
    let heads = head.iter().map(|cell| html!("<th scope=\"col\">{}</th>", cell)).collect::<Html>();
    let row = |cells: Vec<String>| {
        let cells = cells.iter().enumerate().map(|(i, cell)| match i {
            0 => html!("<th scope=\"row\">{}</th>", cell),
            _ => html!("<td>{}</td>", cell),
        });
        html!("<tr>{}</tr>", cells.collect::<Html>())
    };
    let rows = rows.into_iter().map(row).collect::<Html>();
    html!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"table\" tabindex=\"0\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        heads,
        rows
    )
}

/// Says that not all classes are shown, where that is so.
fn first_of(shown: usize, classes: usize) -> String {
    if shown < classes { format!(" The first {shown} of {classes} classes are shown.") } else { String::new() }
}

/// What an arm is called on the page.
fn arm_name(arm: &str) -> String {
    match arm {
        "synthetic" => "student, drawn images".into(),
        "real" => "same student, as many real images".into(),
        other => match other.strip_prefix("rounds/").and_then(|round| round.parse::<u32>().ok()) {
            Some(round) => format!("student of round {}", round + 1),
            None => format!("student, arm {other}"),
        },
    }
}
