//! A policy at work on made-up images: what shows a mistake before a run does.

use super::synthetic::{CLASSES, FEATURES, ROWS, Synthetic};
use super::{
    Columns, Env, Limits, LogSink, Policy, PolicyError, PolicyInstance, PolicyUse, Result, Role, When, compute,
};

/// Images that a selector may keep, and that a planner is asked for.
const BUDGET: u32 = 20;
/// Steps of training before a checkpoint, and after it.
const STEPS: u64 = 3;
/// The figures of a first round, as a planner is told them.
const STATS: &str = include_str!("trial_stats.json");

/// What came of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// One line a role.
    pub lines: Vec<String>,
    pub used: PolicyUse,
}

/// Lets a policy play each of its roles on made-up images of ten classes, and a weigher go on from a checkpoint besides.
pub fn trial(policy: &Policy, config_json: &str, limits: &Limits, log: LogSink) -> Result<Trial> {
    let start = || policy.start(&env(config_json), 0, limits, log.clone());
    let mut instance = start()?;
    let columns = columns(policy, &instance)?;
    let mut lines = Vec::new();
    for role in policy.roles() {
        let said = match role {
            Role::Scorer => score(&mut instance, &columns)?,
            Role::Selector => select(&mut instance, &columns)?,
            Role::Weigher => weigh(&mut instance, &columns, &mut start()?)?,
            Role::Planner => plan(&mut instance)?,
        };
        lines.push(format!("{:<10} {said}", role.name()));
    }
    Ok(Trial { lines, used: instance.usage() })
}

/// The run that the made-up images are of.
pub fn env(config_json: &str) -> Env {
    let (classes, feature_dim) = (CLASSES as u32, FEATURES as u32);
    Env { config_json: config_json.to_owned(), classes, feature_dim, total_steps: 2 * STEPS }
}

/// The columns that it needs; a name that no host knows is refused with the nearest one.
fn columns(policy: &Policy, instance: &PolicyInstance) -> Result<Columns> {
    compute(&Synthetic::new().source(), &instance.setup().needs)
        .map_err(|reason| PolicyError::BadColumns { policy: policy.path().display().to_string(), reason })
}

fn score(instance: &mut PolicyInstance, columns: &Columns) -> Result<String> {
    let scores = instance.score(columns.clone(), When::default())?;
    Ok(format!("{ROWS} made-up images: scores {}, {} vetoed", range(&scores.values), scores.vetoes.len()))
}

fn select(instance: &mut PolicyInstance, columns: &Columns) -> Result<String> {
    let selection = instance.select(columns.clone(), BUDGET, When::default())?;
    let (kept, vetoed) = (selection.keep.len(), selection.vetoes.len());
    Ok(format!("{ROWS} made-up images, at most {BUDGET} to keep: {kept} kept, {vetoed} vetoed"))
}

fn weigh(instance: &mut PolicyInstance, columns: &Columns, resumed: &mut PolicyInstance) -> Result<String> {
    let steps = |instance: &mut PolicyInstance, from: u64| -> Result<Vec<f32>> {
        let step = |step| instance.weigh(columns.clone(), When { round: 0, epoch: (step / STEPS) as u32, step });
        Ok((from..from + STEPS).map(step).collect::<Result<Vec<_>>>()?.concat())
    };
    let mut weights = steps(instance, 0)?;
    instance.epoch_end(0, r#"{"loss": 1.5}"#)?;
    let (version, state) = (instance.info().state_version, instance.save()?);
    let going_on = steps(instance, STEPS)?;
    resumed.restore(version, &state)?;
    let again = steps(resumed, STEPS)?;
    if let Some(place) = going_on.iter().zip(&again).position(|(a, b)| a != b) {
        let (step, row) = (STEPS as usize + place / ROWS, place % ROWS);
        let reason = format!(
            "at step {step} it weighs row {row} {}, and {} after a checkpoint: let `save` keep all that weights depend on",
            going_on[place], again[place]
        );
        let policy = instance.policy().path().display().to_string();
        return Err(PolicyError::BadReply { policy, call: "restore", reason });
    }
    weights.extend(going_on);
    let kept = if state.is_empty() { "nothing".to_owned() } else { format!("{} bytes", state.len()) };
    Ok(format!("{} steps of {ROWS} made-up images: weights {}; a checkpoint keeps {kept}", 2 * STEPS, range(&weights)))
}

fn plan(instance: &mut PolicyInstance) -> Result<String> {
    let draws = instance.plan(BUDGET, CLASSES as u32, 1, STATS)?;
    let mut classes = [0; CLASSES];
    draws.iter().for_each(|draw| classes[draw.class as usize] += 1);
    Ok(format!("{BUDGET} images after a made-up round, by class: {}", classes.map(|count| count.to_string()).join(" ")))
}

fn range(values: &[f32]) -> String {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    format!("{low} to {high}")
}
