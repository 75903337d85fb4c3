//! What it takes to run it again: the recipe and the hash of every input.

use std::path::Path;

use super::{Section, card};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::words;

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let plan = (!inputs.plan_text.is_empty()).then(|| {
        html!("<details class=\"card wordy\"><summary>The plan, <code>plan.toml</code></summary><pre tabindex=\"0\"><code>{}</code></pre></details>", inputs.plan_text)
    });
    let hashes = hashes(inputs);
    if plan.is_none() && hashes.is_none() {
        return None;
    }
    let lead = "“limbeck run plan.toml --out DIR” does it again, after it has compared the hash of every input. The same plan with \
                the same inputs gives the same images, the same choice and, on the same machine, the same student.";
    Some(Section { id: "again", title: "To run it again", lead: lead.into(), body: html!("{}{}", hashes, plan) })
}

fn hashes(inputs: &Inputs) -> Option<Html> {
    let mut rows = inputs
        .plan
        .inputs
        .iter()
        .map(|(key, input)| {
            let path = Path::new(&input.path);
            let name = path.file_name().map_or(input.path.clone(), |name| name.to_string_lossy().into_owned());
            row(key, &name, &input.path, input.bytes, &input.sha256)
        })
        .collect::<Vec<_>>();
    for arm in inputs.judgement.iter().flat_map(|judgement| judgement.arms.iter()) {
        let students = arm.1.students.iter().filter(|student| !student.sha256.is_empty());
        rows.extend(students.map(|student| {
            let name = format!("{} {}, seed {}", student.network, arm.0, student.seed);
            row("student", &name, "", None, &student.sha256)
        }));
    }
    let table = |rows: Html| {
        html!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"table\" tabindex=\"0\"><table class=\"hashes\"><thead><tr><th scope=\"col\">what</th><th scope=\"col\">file</th>\
         <th scope=\"col\">size</th><th scope=\"col\">SHA-256</th></tr></thead><tbody>{}</tbody></table></div>",
            rows
        )
    };
    (!rows.is_empty()).then(|| {
        card(
            "Inputs and students",
            "Every file that the run read, and what came out, by hash.",
            table(rows.into_iter().collect()),
        )
    })
}

fn row(key: &str, name: &str, path: &str, bytes: Option<u64>, sha256: &str) -> Html {
    html!(
        "<tr><th scope=\"row\">{}</th><td title=\"{}\">{}</td><td>{}</td><td><code>{}</code></td></tr>",
        words::clipped(key, 60),
        path,
        words::clipped(name, 80),
        bytes.map(words::bytes),
        words::clipped(sha256, 64)
    )
}
