//! What the generator drew: some images of every class.

use std::collections::BTreeMap;

use super::{Section, first_of, table};
use crate::pool::Sample;
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::picture::{picture, provenance, spaced};
use crate::report::words;

const PER_CLASS: usize = 24;
const MOST_CLASSES: usize = 20;

pub(super) fn section(inputs: &Inputs) -> Option<Section> {
    let mut classes = BTreeMap::<u32, Vec<&Sample>>::new();
    inputs.samples.values().for_each(|sample| classes.entry(sample.class).or_default().push(sample));
    let first = inputs.samples.values().next()?;
    let rows = classes.iter().take(MOST_CLASSES).map(|(class, samples)| row(*class, samples)).collect::<Html>();
    let shown = first_of(MOST_CLASSES, classes.len());
    let lead = format!(
        "{}, {} pixels high and {} wide, in {}, drawn by {} in {} with guidance {}. Each row holds up to {PER_CLASS}, \
         evenly spaced over what was drawn for the class and not chosen by looks.{shown}",
        words::counted(inputs.samples.len(), "image"),
        first.image.height,
        first.image.width,
        words::counted(classes.len(), "class"),
        first.provenance.sampler.to_uppercase(),
        words::counted(first.provenance.steps as usize, "step"),
        first.provenance.guidance,
    );
    let counts = classes.iter().map(|(class, samples)| vec![class.to_string(), words::thousands(samples.len() as u64)]);
    let counts = html!(
        "<details><summary>Images per class</summary>{}</details>",
        table(&["class", "images drawn"], counts.collect())
    );
    let body = html!("<div class=\"card sheet\">{}{}</div>", rows, counts);
    Some(Section { id: "drawn", title: "What was drawn", lead, body })
}

fn row(class: u32, samples: &[&Sample]) -> Html {
    let pictures = spaced(samples, PER_CLASS).into_iter().map(|sample| picture(sample, &provenance(sample)));
    html!(
        "<div class=\"class-row\"><h3><span class=\"visually-hidden\">class </span>{}</h3><div class=\"strip\">{}</div></div>",
        class,
        pictures.collect::<Html>()
    )
}
