//! What the run cost: time by stage, and what the policies used.

use super::{Section, card, table};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::view::PolicyUse;
use crate::report::words;

/// The stages in the order in which they run.
const STAGES: [&str; 7] = ["plan", "synth", "select", "distill", "measure", "eval", "report"];

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let cards = [timings(inputs), policies(inputs), cache(inputs)].into_iter().flatten().collect::<Vec<_>>();
    if cards.is_empty() {
        return None;
    }
    let lead = "Policies are sandboxed components: fuel counts their instructions, and neither fuel nor memory can pass the limits of the recipe.";
    Some(Section { id: "cost", title: "What it took", lead: lead.into(), body: cards.into_iter().collect() })
}

fn timings(inputs: &Inputs) -> Option<Html> {
    let mut stages = inputs.summary.seconds.iter().filter(|(name, _)| *name != "total").collect::<Vec<_>>();
    stages.sort_by_key(|(name, _)| STAGES.iter().position(|stage| stage == name).unwrap_or(STAGES.len()));
    let total = stages.iter().map(|(_, seconds)| seconds.max(0.0)).sum::<f64>();
    let longest = stages.iter().map(|(_, seconds)| **seconds).fold(0.0, f64::max);
    if longest <= 0.0 {
        return None;
    }
    let row = |(name, seconds): &(&String, &f64)| {
        let share = seconds.max(0.0) / longest;
        html!(
            "<tr><th scope=\"row\">{}</th><td class=\"meter\"><span style=\"--share:{}\"></span></td><td>{}</td></tr>",
            words::clipped(name, 40),
            share,
            words::seconds(**seconds)
        )
    };
    let rows = stages.iter().map(row).collect::<Html>();
    let body = html!(
        "<table class=\"timings\"><thead class=\"visually-hidden\"><tr><th scope=\"col\">stage</th><th>share</th><th scope=\"col\">time</th></tr></thead>\
         <tbody>{}</tbody><tfoot><tr><th scope=\"row\">all</th><td></td><td>{}</td></tr></tfoot></table>",
        rows,
        words::seconds(total)
    );
    let place = match (inputs.summary.device.as_str(), inputs.summary.threads) {
        ("", _) => String::new(),
        (device, None) => format!(" on {}", words::clipped(device, 60)),
        (device, Some(threads)) => {
            format!(" on {}, {}", words::clipped(device, 60), words::counted(threads as usize, "thread"))
        }
    };
    let remark = format!("Wall time of each stage{place}. Work that was interrupted is not counted.");
    Some(card("Time", &remark, body))
}

fn policies(inputs: &Inputs) -> Option<Html> {
    let rows = inputs.policies.iter().map(|(role, policy)| row(role, policy)).collect::<Vec<_>>();
    let head = ["policy", "role", "calls", "fuel", "peak memory", "columns read", "time"];
    (!rows.is_empty()).then(|| {
        card("Policies", "What each policy used in all its calls, over all rounds and seeds.", table(&head, rows))
    })
}

fn cache(inputs: &Inputs) -> Option<Html> {
    let used = inputs.summary.teacher_cache.as_ref()?;
    let asked = (used.hits + used.misses).max(1);
    let row = vec![
        words::thousands(used.hits),
        words::thousands(used.misses),
        words::percent(used.hits as f64 / asked as f64),
        words::seconds(used.seconds_asking),
        words::seconds(used.seconds_saved.max(0.0)),
        words::bytes(used.bytes),
    ];
    let head = ["answers kept", "answers asked", "hit rate", "time asking", "time saved", "on disk"];
    let remark =
        "How often the teacher’s logits of an image were there already, and what asking again would have taken.";
    Some(card("Kept answers of the teacher", remark, table(&head, vec![row])))
}

fn row(role: &str, policy: &PolicyUse) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    vec![
        words::clipped(&format!("{} {}", policy.name, policy.version), 60),
        words::clipped(role, 60),
        or_dash(policy.calls.map(words::thousands)),
        or_dash(policy.fuel.map(words::large)),
        or_dash(policy.peak_memory_bytes.map(words::bytes)),
        or_dash(policy.lent_bytes.map(words::bytes)),
        or_dash(policy.seconds.map(words::seconds)),
    ]
}
