//! `limbeck policy replay`: what a policy would have done in a run that is done, beside what was done.

mod words;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::plan::{Keep, Plan, WeigherPlan};
use crate::policy::{Env, Limits, Policy, PolicyUse, Role, Sandbox};
use crate::progress::Progress;
use crate::rounds;
use crate::run_dir::RunDir;
pub use crate::select::Decision;
use crate::select::{Subset, is_of_student, replay_selection, replay_weights, student_after};
use crate::{Error, Result};

/// What to replay.
#[derive(Clone, Debug)]
pub struct Request {
    /// The component.
    pub policy: PathBuf,
    /// Its configuration. `None`: that of the run where the run used this very file, otherwise an empty one.
    pub config: Option<serde_json::Value>,
    /// How many images to keep. `None`: as many as the run.
    pub keep: Option<Keep>,
    /// Which round to replay, from 0. `None`: the last.
    pub round: Option<u32>,
}

/// What a policy would have done, beside what was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Which round it is of, and how many the run has.
    pub round: u32,
    pub rounds: u32,
    /// What it used, over all its roles.
    pub used: PolicyUse,
    /// Where it scores or selects.
    pub selection: Option<Selection>,
    /// Where it weighs.
    pub weights: Option<Weights>,
}

/// The decisions about the same images.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The policy of the run, if it had one.
    pub before: Option<String>,
    /// In the order of ids, like `now`.
    pub then: Vec<Decision>,
    pub now: Vec<Decision>,
}

/// The weights of the images that the students learnt from.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The weigher of the run, if it had one.
    pub before: Option<String>,
    pub ids: Vec<u64>,
    /// The mean over steps and seeds; 1 where the run had no weigher.
    pub then: Vec<f64>,
    /// As in the last epoch.
    pub now: Vec<f64>,
}

/// Replays a policy on the run of `plan`. Fails where the run has no grades yet, or the policy asks for a column that a
/// finished run doesn't have.
pub fn replay(plan: &Plan, run: &RunDir, request: &Request, progress: &Progress) -> Result<Replay> {
    let policy = Policy::open(&Sandbox::shared()?, &request.policy)?;
    let selects = policy.role(&[Role::Scorer, Role::Selector]).is_ok();
    let weighs = policy.role(&[Role::Weigher]).is_ok();
    if !selects && !weighs {
        return Err(Error::input(format!(
            "policy `{}` plans what to draw, which needs new images: `limbeck policy check` tries it without a run",
            request.policy.display()
        )));
    }
    let rounds = plan.round_count();
    let round = request.round.unwrap_or(rounds - 1);
    if round >= rounds {
        let last = rounds - 1;
        return Err(Error::input(format!("the run has no round {round}: name one from 0 to {last} (`--round`)")));
    }
    let subset = Subset::read(run, round)?;
    let mut replay = Replay { round, rounds, used: PolicyUse::default(), selection: None, weights: None };
    if selects {
        let plan = selecting(plan, run, &policy, request, round, progress)?;
        let (now, used) = replay_selection(&plan, run, round, progress)?;
        replay.used = used.unwrap_or_default();
        let before = subset.policy.as_ref().map(|policy| policy.name.clone());
        replay.selection = Some(Selection { before, then: subset.decisions, now: now.decisions });
    }
    if weighs {
        let (plan, weigher) = weighing(&plan.training_in(round), run, &policy, request, round, progress)?;
        let (ids, now, used) = replay_weights(&plan, run, &weigher, round, progress)?;
        let (before, then) = weights_of(&plan, run, round, &ids)?;
        let now = now.into_iter().map(f64::from).collect();
        replay.weights = Some(Weights { before, ids, then, now });
        replay.used = joined(replay.used, used);
    }
    Ok(replay)
}

/// The plan as if it named this policy under `select`.
fn selecting(
    plan: &Plan,
    run: &RunDir,
    policy: &Policy,
    request: &Request,
    round: u32,
    progress: &Progress,
) -> Result<Plan> {
    let same = plan.inputs.get("select.policy").is_some_and(|input| input.sha256 == policy.sha256());
    let config = config(request, same.then_some(&plan.select.config));
    let mut plan = plan.clone();
    plan.select.policy = Some(request.policy.clone());
    plan.select.config = config.clone();
    plan.select.keep = request.keep.unwrap_or(plan.select.keep);
    // In a run with rounds that of the round before, as when it was selected; in the first, that which came of it.
    know_the_student(&mut plan, run, policy, &config, round.saturating_sub(1), progress)?;
    Ok(plan)
}

/// The plan with what a finished training knows, and this policy as its weigher.
fn weighing(
    plan: &Plan,
    run: &RunDir,
    policy: &Policy,
    request: &Request,
    round: u32,
    progress: &Progress,
) -> Result<(Plan, WeigherPlan)> {
    let same = plan.inputs.get("distill.weigher.policy").is_some_and(|input| input.sha256 == policy.sha256());
    let of_run = plan.distill.weigher.as_ref().map(|weigher| &weigher.config).filter(|_| same);
    let config = config(request, of_run);
    let mut plan = plan.clone();
    know_the_student(&mut plan, run, policy, &config, round, progress)?;
    let arm = rounds::arm(&plan, round);
    let history = plan.distill.seeds.first().map(|seed| run.join(&format!("history/{arm}-seed-{seed}.safetensors")));
    plan.select.history = history.filter(|file| file.exists());
    Ok((plan, WeigherPlan { policy: request.policy.clone(), config }))
}

fn config(request: &Request, of_run: Option<&serde_json::Value>) -> serde_json::Value {
    let empty = || serde_json::Value::Object(serde_json::Map::new());
    request.config.clone().or_else(|| of_run.cloned()).unwrap_or_else(empty)
}

/// Names the run's own student after `round` where the policy reads columns of a student and the plan names none. It takes
/// a moment to ask it, so it is asked only then.
fn know_the_student(
    plan: &mut Plan,
    run: &RunDir,
    policy: &Policy,
    config: &serde_json::Value,
    round: u32,
    progress: &Progress,
) -> Result<()> {
    let env =
        Env { config_json: config.to_string(), classes: plan.data.classes as u32, feature_dim: 0, total_steps: 1 };
    let log = crate::policy::to_progress(progress, &policy.stem());
    let instance = policy.start(&env, plan.run.seed, &Limits::from(&plan.limits), log)?;
    let reads_it = instance.setup().needs.iter().any(|column| is_of_student(column));
    if plan.select.student.is_none() && reads_it {
        plan.select.student = Some(student_after(plan, run, round)).filter(|file| file.exists());
    }
    Ok(())
}

/// What the run's weigher gave to these images on average; 1 each where it had none.
fn weights_of(plan: &Plan, run: &RunDir, round: u32, ids: &[u64]) -> Result<(Option<String>, Vec<f64>)> {
    #[derive(Deserialize)]
    struct MeanWeights {
        ids: Vec<u64>,
        mean_weight: Vec<Option<f64>>,
        policy: PolicyUse,
    }
    let mut name = None;
    let mut sums = std::collections::BTreeMap::<u64, (f64, f64)>::new();
    for seed in &plan.distill.seeds {
        let Some(weights) =
            run.read_json::<MeanWeights>(&format!("weights/{}-seed-{seed}.json", rounds::arm(plan, round)))?
        else {
            continue;
        };
        name = Some(weights.policy.name);
        for (id, weight) in weights.ids.iter().zip(weights.mean_weight) {
            let sum = sums.entry(*id).or_default();
            *sum = (sum.0 + weight.unwrap_or(0.0), sum.1 + f64::from(u8::from(weight.is_some())));
        }
    }
    let mean = |id: &u64| sums.get(id).filter(|(_, count)| *count > 0.0).map_or(1.0, |(sum, count)| sum / count);
    Ok((name, ids.iter().map(mean).collect()))
}

/// One policy's use in two roles.
fn joined(first: PolicyUse, second: PolicyUse) -> PolicyUse {
    PolicyUse {
        calls: first.calls + second.calls,
        fuel: first.fuel + second.fuel,
        lent_bytes: first.lent_bytes + second.lent_bytes,
        seconds: first.seconds + second.seconds,
        peak_memory_bytes: first.peak_memory_bytes.max(second.peak_memory_bytes),
        ..second
    }
}

impl Replay {
    /// Writes the page with charts and images. It needs nothing else.
    pub fn write_page(&self, run: &RunDir, file: &Path) -> Result<()> {
        let page = crate::report::replay_page(run, self);
        fs_err::write(file, page).map_err(|error| Error::input(error.to_string()))
    }
}
