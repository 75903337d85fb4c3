//! The report: one page that shows what a run did. It reads only files of the run directory and needs nothing else.
//!
//! The page has no script and names no other file; its content policy forbids both, whatever a policy's reason says.

mod chart;
mod html;
mod input;
mod picture;
mod section;
mod view;
mod words;

use std::path::PathBuf;

use crate::Result;
use crate::replay::Replay;
use crate::run_dir::RunDir;
use html::{Html, html};
use input::Inputs;
use section::Section;

const STYLE: &str = include_str!("style.css");

/// Writes `report.html` into the run directory and says where it is.
///
/// A part that is missing is left out, and one that is damaged is named on the page; only a failed write is an error.
pub fn run(run: &RunDir) -> Result<PathBuf> {
    let page = page(&Inputs::read(run)).into_string();
    run.write_atomic("report.html", page.as_bytes())?;
    Ok(run.join("report.html"))
}

/// What a policy would have done in a run, as a page of the same kind.
pub fn replay_page(run: &RunDir, replay: &Replay) -> String {
    let inputs = Inputs::read(run);
    let name = format!("{} on {}", replay.used.name, name(&inputs));
    let sections = section::replay(&inputs, replay);
    let lines = replay.lines().join("\n");
    framed(&name, html!("<pre>{}</pre>", lines), &sections).into_string()
}

fn page(inputs: &Inputs) -> Html {
    framed(name(inputs), section::overview(inputs), &section::sections(inputs))
}

fn name(inputs: &Inputs) -> &str {
    match inputs.plan.run.name.as_str() {
        "" => "a run",
        name => name,
    }
}

fn framed(name: &str, head: Html, sections: &[Section]) -> Html {
    let links = sections.iter().map(|section| html!("<li><a href=\"#{}\">{}</a></li>", section.id, section.title));
    html!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} · Limbeck</title>\n<style>{}</style>\n</head>\n<body>\n\
         <header><p class=\"brand\">{}Limbeck</p><h1>{}</h1>{}<nav aria-label=\"Sections\"><ul>{}</ul></nav></header>\n\
         <main>{}</main>\n<footer><p>Written by Limbeck {}. One file, no scripts, nothing loaded from elsewhere.</p></footer>\n\
         {}</body>\n</html>\n",
        name,
        Html::literal(STYLE),
        logo(),
        name,
        head,
        links.collect::<Html>(),
        sections.iter().map(shown).collect::<Html>(),
        env!("CARGO_PKG_VERSION"),
        chart::patterns(),
    )
}

fn shown(section: &Section) -> Html {
    html!(
        "<section id=\"{}\"><h2>{}</h2><p class=\"lead\">{}</p>{}</section>\n",
        section.id,
        section.title,
        section.lead,
        section.body
    )
}

/// A still: the flask, its head, the arm and a drop.
fn logo() -> Html {
    html!(
        "<svg viewBox=\"0 0 32 32\" aria-hidden=\"true\"><path d=\"M9 12a7.5 7.5 0 1 0 6 0V8.5C15 6 17 5 19 6l8 6.5M9 12V8.5a3 3 0 0 1 6 0\"/>\
         <path class=\"fill\" d=\"M5.2 19.5h13.6A7 7 0 0 1 5.2 19.5z\"/><path class=\"fill\" d=\"M27 16.5c1.6 2.4 2.2 3.4 2.2 4.6a2.2 2.2 0 0 1-4.4 0c0-1.2.6-2.2 2.2-4.6z\"/></svg>"
    )
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
