//! The stage after drawing: the teacher grades every image of the pool, a policy decides what stays.

mod chain;
mod decide;
mod grades;
mod policy;
mod proxy;
mod replay;
mod student;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use crate::backend::{Classifier, ClassifierInfo, open_teacher};
use crate::plan::Plan;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::rounds::subset_file;
use crate::run_dir::{RunDir, sha256_bytes, sha256_file};
use crate::{Context as _, Error, Result};

pub use crate::policy::{PolicyId, PolicyUse};
use decide::Verdict;
pub use grades::try_out as try_teacher;
use policy::Link;
pub use replay::{replay_selection, replay_weights};
pub use student::{is_of_student, student_after};

/// What stays of a round, and why the rest does not. The same pool, teacher, policy and seed give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// Hash of everything that the decision depends on.
    pub key: String,
    /// The policy that decided; `None` when the recipe names none and everything stays, and of a chain.
    pub policy: Option<PolicyId>,
    /// Of a chain, its policies in their order, as far as something was left to decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<PolicyId>,
    /// The ids of what stays, in increasing order.
    pub kept: Vec<u64>,
    /// One for each image of the pool, in the order of ids.
    pub decisions: Vec<Decision>,
}

/// What was decided about one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub id: u64,
    /// The class that the generator was asked for.
    pub class: u32,
    pub kept: bool,
    /// What a scorer gave; the higher the better.
    pub score: Option<f32>,
    /// The place by score, from 1; a scorer's vetoes have none.
    pub rank: Option<u32>,
    /// In words that many images share, so that a report can count them.
    pub reason: String,
    /// What the teacher sees.
    pub teacher_class: u32,
    /// The teacher's probability of `class`.
    pub teacher_p_class: f32,
}

/// The file with what the policy used in that round: times differ from run to run, so it is apart from the decisions.
pub fn usage_file(round: u32) -> String {
    format!("subset/round-{round:03}-usage.json")
}

/// Likewise for a link of a chain, counted from 0.
pub fn link_usage_file(round: u32, link: usize) -> String {
    format!("subset/round-{round:03}-link-{}-usage.json", link + 1)
}

impl Subset {
    /// Reads the decisions of a round. A round that was not selected yet is refused.
    pub fn read(run: &RunDir, round: u32) -> Result<Self> {
        let file = subset_file(round);
        run.read_json(&file)?.ok_or_else(|| {
            Error::input(format!(
                "`{}` is missing: `limbeck run` with the run's recipe makes it",
                run.join(&file).display()
            ))
        })
    }
}

/// Fails on everything about the plan's policy that can be known before any work: the file, its role, its configuration,
/// and the columns it asks for.
pub fn check(plan: &Plan, teacher: &ClassifierInfo, progress: &Progress) -> Result<()> {
    let known = || proxy::known(plan, &Pool::default(), progress);
    if let Some(link) = only(plan) {
        policy::check(plan, &link, teacher.features, &known()?, progress)?;
    }
    for (place, link) in chain::links(plan).iter().enumerate() {
        let checked = policy::check(plan, link, teacher.features, &known()?, progress);
        checked.context(chain::link_name(place))?;
    }
    Ok(())
}

/// The one policy of a plan without a chain.
fn only(plan: &Plan) -> Option<Link<'_>> {
    let file = plan.select.policy.as_deref()?;
    Some(Link { file, config: &plan.select.config, role: None })
}

/// Opens the teacher, when it is needed at all.
pub type OpenTeacher<'a> = &'a dyn Fn() -> Result<Box<dyn Classifier>>;

/// Grades the pool of a round with the plan's teacher and decides what stays.
pub fn run(plan: &Plan, run: &RunDir, progress: &Progress, device: &Device, round: u32) -> Result<()> {
    run_with(plan, run, progress, &|| open_teacher(&plan.teacher, device, progress), round)
}

/// Grades the pool of a round and decides what stays. A finished decision over the same inputs is left as it is, and so
/// are grades by the same teacher; what is there from other inputs is made again.
pub fn run_with(plan: &Plan, run: &RunDir, progress: &Progress, teacher: OpenTeacher<'_>, round: u32) -> Result<()> {
    let grades_key = grades::key(plan, run, round)?;
    let last_student = student::of_last_round(plan, run, round);
    let key = key(plan, &grades_key, last_student.as_deref())?;
    if run.read_json::<Subset>(&subset_file(round))?.is_some_and(|subset| subset.key == key) {
        progress.note("select: done before");
        return Ok(());
    }
    let pool = Pool::read(run, round)?;
    let grades = grades::of_pool(plan, run, &pool, round, &grades_key, progress, teacher)?;
    let source = grades.source(&pool)?;
    let plan = &student::if_asked_for(plan, last_student, &source.columns(), progress)?;
    let source = source.with(proxy::known(plan, &pool, progress)?);
    let budget = plan.select.keep.of(pool.samples.len());
    let (verdicts, used) = match only(plan) {
        Some(link) => {
            let (verdicts, usage) = policy::decide(plan, &link, &source.columns(), budget, round, progress)?;
            (verdicts, vec![usage])
        }
        None if !plan.select.chain.is_empty() => chain::decide(plan, &source, round, progress)?,
        None => (decide::without_policy(&source.id, budget), Vec::new()),
    };
    let mut subset = Subset { key, ..subset(&source, verdicts)? };
    if plan.select.chain.is_empty() {
        subset.policy = used.first().map(PolicyUse::id);
        used.first().map_or(Ok(()), |usage| run.write_json(&usage_file(round), usage))?;
    } else {
        subset.chain = used.iter().map(PolicyUse::id).collect();
        for (link, usage) in used.iter().enumerate() {
            run.write_json(&link_usage_file(round, link), usage)?;
        }
    }
    run.write_json(&subset_file(round), &subset)?;
    progress.note(summary(&subset));
    if let Some(warning) = without_images(&subset.decisions) {
        progress.warn(warning);
    }
    Ok(())
}

/// Everything that a decision depends on, beyond the program itself.
fn key(plan: &Plan, grades_key: &str, last_student: Option<&Path>) -> Result<String> {
    let files = ["policy", "student", "history", "external"];
    let hash = |name| plan.inputs.get(&format!("select.{name}")).map_or("", |input| &input.sha256);
    let files = files.map(hash).join("\n");
    let select = &plan.select;
    let parts =
        format!("{grades_key}\n{files}\n{}\n{:?}\n{}\n{:?}", plan.run.seed, select.keep, select.config, plan.limits);
    let chain = select.chain.iter().enumerate().map(|(place, link)| {
        let sha256 = plan.inputs.get(&format!("select.chain.{place}.policy")).map_or("", |input| &input.sha256);
        format!("\n{sha256}\n{:?}\n{:?}\n{}", link.role, link.keep, link.config)
    });
    let last_student = last_student.map(sha256_file).transpose()?.unwrap_or_default();
    let parts = parts + &chain.collect::<String>() + &last_student;
    Ok(sha256_bytes(parts.as_bytes()))
}

fn subset(source: &grades::PoolColumns, verdicts: Vec<Verdict>) -> Result<Subset> {
    let decisions: Vec<Decision> = (verdicts.into_iter().enumerate())
        .map(|(row, verdict)| Decision {
            id: source.id[row],
            class: source.class[row],
            kept: verdict.kept,
            score: verdict.score,
            rank: verdict.rank,
            reason: verdict.reason,
            teacher_class: source.teacher_class[row],
            teacher_p_class: source.teacher_p_class[row],
        })
        .collect();
    let kept: Vec<u64> = decisions.iter().filter(|decision| decision.kept).map(|decision| decision.id).collect();
    if kept.is_empty() {
        let reasons = reasons(&decisions);
        let all = match decisions.len() {
            1 => "the only image was".to_owned(),
            count => format!("all {count} images were"),
        };
        return Err(Error::failed(format!(
            "nothing is left to learn from: {all} dropped ({reasons}): change [select], or draw other images"
        )));
    }
    Ok(Subset { key: String::new(), policy: None, chain: Vec::new(), kept, decisions })
}

fn summary(subset: &Subset) -> String {
    let (kept, all) = (subset.kept.len(), subset.decisions.len());
    let dropped = reasons(&subset.decisions);
    if dropped.is_empty() {
        format!("select: kept all {all}")
    } else {
        format!("select: kept {kept} of {all}; {dropped}")
    }
}

/// Names the classes that were drawn, but of which nothing stays: students can't learn them.
fn without_images(decisions: &[Decision]) -> Option<String> {
    const SHOWN: usize = 10;
    let mut kept = BTreeMap::<u32, bool>::new();
    decisions.iter().for_each(|one| *kept.entry(one.class).or_default() |= one.kept);
    let lost: Vec<_> = kept.iter().filter(|(_, kept)| !**kept).map(|(class, _)| class.to_string()).collect();
    let more = if lost.len() > SHOWN { ", …" } else { "" };
    let shown = lost.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let classes = if lost.len() == 1 { "class" } else { "classes" };
    let (count, all) = (lost.len(), kept.len());
    (count > 0).then(|| format!("select: no image was kept of {count} of {all} classes ({classes} {shown}{more})"))
}

/// Why images were dropped, the most frequent reason first: `301 below the cut, 12 too sure`.
pub fn reasons(decisions: &[Decision]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for decision in decisions.iter().filter(|decision| !decision.kept) {
        *counts.entry(&decision.reason).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
    counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_which_nothing_stays_are_named() {
        let decision = |class, kept| Decision {
            id: 0,
            class,
            kept,
            score: None,
            rank: None,
            reason: String::new(),
            teacher_class: 0,
            teacher_p_class: 0.0,
        };
        let told = |decisions: &[(u32, bool)]| {
            without_images(&decisions.iter().map(|&(class, kept)| decision(class, kept)).collect::<Vec<_>>())
        };
        assert_eq!(told(&[(0, true), (0, false), (7, false), (7, true)]), None);
        let message = told(&[(3, false), (0, true), (3, false)]).unwrap();
        assert_eq!(message, "select: no image was kept of 1 of 2 classes (class 3)");
        let all: Vec<_> = (0..12).map(|class| (class, false)).collect();
        assert!(told(&all).unwrap().ends_with("12 of 12 classes (classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …)"));
    }
}
