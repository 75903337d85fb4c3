//! The head of the page: what the run is and how well its student does.

use super::{arm_name, as_table};
use crate::report::chart::{Dots, Ink, begins, dots};
use crate::report::html::{Html, html};
use crate::report::input::Inputs;
use crate::report::view::{Arm, Judgement};
use crate::report::words;
use crate::words::{percent, shown};

/// The opening: a sentence, the headline figure and the comparison.
pub(in crate::report) fn overview(inputs: &Inputs) -> Html {
    let figures = inputs
        .judgement
        .as_ref()
        .map(|judgement| html!("<div class=\"headline\">{}{}</div>", headline(judgement), comparison(judgement)));
    html!("<p class=\"story\">{}</p>{}{}", story(inputs), figures, damaged(inputs))
}

fn story(inputs: &Inputs) -> String {
    let student = match inputs.plan.distill.student.as_str() {
        "" => "A student".to_owned(),
        name => format!("A {name}"),
    };
    let drawn = inputs.samples.len();
    let kept = inputs.subset.as_ref().map(|subset| subset.decisions.iter().filter(|one| one.kept).count());
    let images = match (kept, drawn) {
        (None, 0) => "images that a diffusion model drew".to_owned(),
        (Some(kept), _) if kept != drawn && drawn > 0 => {
            format!(
                "{} kept of {} that a diffusion model drew",
                words::counted(kept, "image"),
                words::thousands(drawn as u64)
            )
        }
        _ => format!("{} that a diffusion model drew", words::counted(kept.unwrap_or(drawn), "image")),
    };
    let classes = match inputs.classes() {
        0 => String::new(),
        count => format!(" to tell {count} classes apart"),
    };
    format!("{student} learned{classes} from {images} and a teacher graded. In training it saw no real image.")
}

fn headline(judgement: &Judgement) -> Option<Html> {
    let arm = judgement.arms.get("synthetic").or_else(|| judgement.arms.values().next())?;
    let images = arm.students.first().map_or(0, |student| student.images);
    let spread = arm.top1.std.map(|std| html!("<span class=\"spread\">±\u{202f}{}</span>", percent(std)));
    let seeds = match arm.students.len() {
        1 => "one seed".to_owned(),
        count => format!("mean ± standard deviation of {count} seeds"),
    };
    let top5 = judgement.has_top5().then(|| html!("<br>top-5 {}", words::percent(arm.top5.mean)));
    Some(html!(
        "<div class=\"figure\"><p class=\"number\">{}{}<span class=\"unit\">%</span></p>\
         <p>top-1 accuracy on {},<br>{}{}</p>{}</div>",
        percent(arm.top1.mean),
        spread,
        words::counted(images as usize, "real test image"),
        seeds,
        top5,
        verdict(judgement, arm)
    ))
}

/// How far the student is from the baseline and from the teacher.
fn verdict(judgement: &Judgement, arm: &Arm) -> Html {
    let against = |other: f64, name: &str| {
        let difference = shown(arm.top1.mean) - shown(other);
        html!("<li><b>{}</b> {}</li>", words::points(difference), format!("points against {name}"))
    };
    let real = judgement.arms.get("real").map(|real| against(real.top1.mean, "as many real images"));
    let teacher = judgement.teacher.as_ref().map(|teacher| against(teacher.top1, "its teacher"));
    html!("<ul class=\"verdict\">{}{}</ul>", real, teacher)
}

fn comparison(judgement: &Judgement) -> Html {
    let (rows, top5) = rows(judgement);
    let table = rows.iter().zip(top5).map(|(row, top5)| {
        let values = row.marks.iter().map(|mark| words::percent(mark.1)).collect::<Vec<_>>().join(", ");
        let mean =
            row.spread.map_or(String::new(), |(_, mean, std)| format!("{} ± {}", words::percent(mean), percent(std)));
        let top5 = if judgement.has_top5() { words::percent(top5) } else { "–".into() };
        vec![row.name.clone(), values, mean, top5]
    });
    let table = as_table(&["who", "top-1 of each seed", "mean ± sd", "top-5, mean"], table.collect());
    let label =
        "Top-1 accuracy of each student and of the teacher on a common axis; the figures are in the table below.";
    html!(
        "<figure class=\"comparison\">{}<figcaption>A marker a seed; bars are mean ± standard deviation. \
         The axis begins at {}.</figcaption>{}</figure>",
        dots(&rows, true, label),
        words::percent(begins(&rows)),
        table
    )
}

/// Everyone who was judged, and beside that the top-5 accuracy.
fn rows(judgement: &Judgement) -> (Vec<Dots>, Vec<f64>) {
    // The drawn arm first, whatever the names of others.
    let mut arms = judgement.arms.iter().collect::<Vec<_>>();
    arms.sort_by_key(|(name, _)| Ink::of_arm(name));
    let mut rows = arms.into_iter().map(|(name, arm)| (arm_row(name, arm), arm.top5.mean)).collect::<Vec<_>>();
    if let Some(teacher) = &judgement.teacher {
        let name = format!("teacher: {} {}", words::clipped(&teacher.name, 40), words::clipped(&teacher.version, 12));
        let title = format!("teacher: {}", words::percent(teacher.top1));
        rows.push((Dots { name, marks: vec![(Ink::Teacher, teacher.top1, title)], spread: None }, teacher.top5));
    }
    rows.into_iter().unzip()
}

fn arm_row(name: &str, arm: &Arm) -> Dots {
    let ink = Ink::of_arm(name);
    let mark = |seed: u64, top1: f64| (ink, top1, format!("seed {seed}: {}", words::percent(top1)));
    Dots {
        name: words::clipped(&arm_name(name), 60),
        marks: arm.students.iter().map(|student| mark(student.seed, student.top1)).collect(),
        spread: arm.top1.std.map(|std| (ink, arm.top1.mean, std)),
    }
}

fn damaged(inputs: &Inputs) -> Option<Html> {
    let items = inputs.damaged.iter().map(|sentence| html!("<li>{}</li>", sentence)).collect::<Html>();
    (!inputs.damaged.is_empty())
        .then(|| html!("<aside class=\"warning\"><h2>Left out because it can’t be read</h2><ul>{}</ul></aside>", items))
}
