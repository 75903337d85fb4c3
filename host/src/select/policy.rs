//! Runs the policy of a plan over a graded pool.

use std::path::Path;

use super::PolicyUse;
use super::decide::{Verdict, by_score, by_selection, without_student};
use super::grades::given;
use super::proxy::Known;
use super::student::{closes_the_loop, is_of_student};
use crate::plan::Plan;
use crate::policy::{
    Columns, Env, Limits, Policy, PolicyError, PolicyInstance, Role, Sandbox, Scores, Source, Veto, When, compute,
    to_progress,
};
use crate::progress::Progress;
use crate::{Error, Result};

/// A policy as the recipe names it.
pub struct Link<'a> {
    pub file: &'a Path,
    pub config: &'a serde_json::Value,
    /// What it is asked for, where it is both a scorer and a selector; otherwise what it is.
    pub role: Option<Role>,
}

/// Rows that a scorer sees at once: enough to make the cost of a call vanish, few enough for a small memory.
const WINDOW: usize = 8192;

type Decided = (Vec<Verdict>, PolicyUse);

/// What a policy decides about the rows of `source`, of which at most `budget` may stay.
pub fn decide(
    plan: &Plan,
    link: &Link<'_>,
    source: &Source,
    budget: usize,
    round: u32,
    progress: &Progress,
) -> Result<Decided> {
    let when = When { round, ..When::default() };
    let (mut instance, role) = start(plan, link, source, progress)?;
    let verdicts = match role {
        _ if waits_for_a_student(plan, &instance, source) => without_student(source.id, budget),
        Role::Scorer => {
            let scores = score(&mut instance, source, when, progress)?;
            by_score(&scores, source.id, &instance.setup().reasons, budget)
        }
        _ => {
            let columns = columns(&instance, source)?;
            let selection = instance.select(columns, budget as u32, when)?;
            by_selection(&selection, source.id.len(), &instance.setup().reasons)
        }
    };
    Ok((verdicts, instance.usage()))
}

/// Fails on everything about a policy that can be known before there is a pool: the file, its role, its
/// configuration, and the columns it asks for. `features` is how many the teacher gives, `known` what else would be known of no images.
pub fn check(plan: &Plan, link: &Link<'_>, features: Option<usize>, known: &Known, progress: &Progress) -> Result<()> {
    let given = [given(&[], plan.data.classes), known.columns.clone()].concat();
    let nothing = Source {
        classes: plan.data.classes,
        class: &[],
        id: &[],
        teacher: Some(&[]),
        student: known.student.as_deref(),
        features: features.map(|width| (&[][..], width)),
        given: &given,
        ..Source::default()
    };
    start(plan, link, &nothing, progress).map(drop)
}

/// The columns that a policy asks for where it will be given `source`.
pub fn needs(plan: &Plan, link: &Link<'_>, source: &Source, progress: &Progress) -> Result<Vec<String>> {
    let policy = Policy::open(&Sandbox::shared()?, link.file)?;
    Ok(instance(plan, link, &policy, source, progress)?.setup().needs.clone())
}

/// Whether a policy asks for columns of a student that only the rounds to come will have.
fn waits_for_a_student(plan: &Plan, instance: &PolicyInstance, source: &Source) -> bool {
    let none_yet = closes_the_loop(plan) && source.student.is_none();
    none_yet && instance.setup().needs.iter().any(|column| is_of_student(column))
}

fn start(plan: &Plan, link: &Link<'_>, source: &Source, progress: &Progress) -> Result<(PolicyInstance, Role)> {
    let policy = Policy::open(&Sandbox::shared()?, link.file)?;
    let role = match link.role {
        Some(role) => policy.role(&[role])?,
        None => policy.role(&[Role::Scorer, Role::Selector])?,
    };
    let instance = instance(plan, link, &policy, source, progress)?;
    let mut needs = instance.setup().needs.clone();
    if waits_for_a_student(plan, &instance, source) {
        needs.retain(|column| !is_of_student(column));
    }
    // An empty window shows whether every column is there, before any work is done.
    compute(&source.window(0..0), &needs).map_err(|reason| {
        let remedy = needs.iter().find_map(|column| remedy(column, source)).unwrap_or_default();
        PolicyError::BadColumns { policy: link.file.display().to_string(), reason: reason + remedy }
    })?;
    Ok((instance, role))
}

/// The key of the recipe that would give a column which is not there.
fn remedy(column: &str, source: &Source) -> Option<&'static str> {
    let given = |prefix: &str| source.given.iter().any(|column| column.name().starts_with(prefix));
    if is_of_student(column) && source.student.is_none() {
        Some(": set `select.student` to a finished student")
    } else if column.starts_with("history.") && !given("history.") {
        Some(": set `select.history` to the history that an earlier training left")
    } else if column == "external" && !given("external") {
        Some(": set `select.external` to a file of scores")
    } else {
        None
    }
}

fn instance(
    plan: &Plan,
    link: &Link<'_>,
    policy: &Policy,
    source: &Source,
    progress: &Progress,
) -> Result<PolicyInstance> {
    let env = Env {
        config_json: link.config.to_string(),
        classes: source.classes as u32,
        feature_dim: source.features.map_or(0, |(_, width)| width as u32),
        total_steps: 0,
    };
    let log = to_progress(progress, &policy.stem());
    Ok(policy.start(&env, plan.run.seed, &Limits::from(&plan.limits), log)?)
}

fn columns(instance: &PolicyInstance, source: &Source) -> Result<Columns> {
    compute(source, &instance.setup().needs).map_err(|reason| Error::failed(format!("columns of the pool: {reason}")))
}

fn score(instance: &mut PolicyInstance, source: &Source, when: When, progress: &Progress) -> Result<Scores> {
    let rows = source.id.len();
    let bar = progress.stage("select", rows as u64, "images");
    let mut all = Scores { values: Vec::with_capacity(rows), vetoes: Vec::new() };
    for start in (0..rows).step_by(WINDOW) {
        let window = source.window(start..rows.min(start + WINDOW));
        let scores = instance.score(columns(instance, &window)?, when)?;
        all.values.extend(scores.values);
        all.vetoes.extend(scores.vetoes.iter().map(|veto| Veto { row: veto.row + start as u32, ..*veto }));
        bar.advance(window.id.len() as u64);
    }
    bar.finish();
    Ok(all)
}
