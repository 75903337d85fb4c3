//! What other policies would decide about a run that is done: nothing is drawn, graded, trained or written.

use std::collections::BTreeSet;

use super::grades::{self, PoolGrades};
use super::{PolicyUse, Subset, only, policy, proxy, subset};
use crate::backend::Classifier;
use crate::plan::{Plan, WeigherPlan};
use crate::policy::{Env, Limits, Policy, PolicyError, Role, Sandbox, When, compute, normalise, to_progress};
use crate::pool::Pool;
use crate::progress::Progress;
use crate::rounds;
use crate::run_dir::RunDir;
use crate::{Error, Result};

/// What the policy of `plan` would keep of a round, which was selected by another plan.
pub fn replay_selection(
    plan: &Plan,
    run: &RunDir,
    round: u32,
    progress: &Progress,
) -> Result<(Subset, Option<PolicyUse>)> {
    let (pool, grades) = graded(plan, run, round, progress)?;
    let source = grades.source(&pool)?.with(proxy::known(plan, &pool, progress)?);
    let budget = plan.select.keep.of(pool.samples.len());
    let link = only(plan).ok_or_else(|| Error::failed("no policy to replay"))?;
    let (verdicts, usage) = policy::decide(plan, &link, &source.columns(), budget, round, progress)?;
    Ok((Subset { policy: Some(usage.id()), ..subset(&source, verdicts)? }, Some(usage)))
}

/// The weights of mean 1 that a weigher would give to the images that the students after a round learnt from, and their
/// ids; batch by batch in the order of ids, as in the last epoch of the training that is done: with the columns of the
/// student and of the history that `plan` names under `select`, of which the images are not varied as they are in training.
pub fn replay_weights(
    plan: &Plan,
    run: &RunDir,
    weigher: &WeigherPlan,
    round: u32,
    progress: &Progress,
) -> Result<(Vec<u64>, Vec<f32>, PolicyUse)> {
    let (pool, grades) = learnt(plan, run, round, progress)?;
    let columns = grades.source(&pool)?.with(proxy::known(plan, &pool, progress)?);
    let source = columns.columns();

    let policy = Policy::open(&Sandbox::shared()?, &weigher.policy)?;
    policy.role(&[Role::Weigher])?;
    let (rows, batch) = (pool.samples.len(), plan.distill.batch);
    let (epochs, steps) = (plan.distill.epochs, rows.div_ceil(batch) as u64);
    let env = Env {
        config_json: weigher.config.to_string(),
        classes: source.classes as u32,
        feature_dim: 0,
        total_steps: u64::from(epochs) * steps,
    };
    let log = to_progress(progress, &policy.stem());
    let mut instance = policy.start(&env, plan.run.seed, &Limits::from(&plan.limits), log)?;
    let mut weights = Vec::with_capacity(rows);
    let last = epochs.saturating_sub(1);
    for (step, start) in (0..rows).step_by(batch).enumerate() {
        let window = source.window(start..rows.min(start + batch));
        let columns = compute(&window, &instance.setup().needs)
            .map_err(|reason| PolicyError::BadColumns { policy: policy.path().display().to_string(), reason })?;
        let when = When { round, epoch: last, step: u64::from(last) * steps + step as u64 };
        let mut batch = instance.weigh(columns, when)?;
        normalise(&mut batch);
        weights.extend(batch);
    }
    let ids = pool.samples.iter().map(|sample| sample.id).collect();
    Ok((ids, weights, instance.usage()))
}

/// The images that the students after a round learnt from, and the grades that were kept beside them.
fn learnt(plan: &Plan, run: &RunDir, round: u32, progress: &Progress) -> Result<(Pool, PoolGrades)> {
    let (learnt, _) = rounds::kept_so_far(plan, run, round)?;
    let wanted: BTreeSet<u64> = learnt.samples.iter().map(|sample| sample.id).collect();
    let of_round = |round| {
        let (pool, grades) = graded(plan, run, round, progress)?;
        let rows = pool.samples.iter().enumerate().filter(|(_, sample)| wanted.contains(&sample.id));
        Ok::<_, Error>(grades.of_rows(&rows.map(|(row, _)| row).collect::<Vec<_>>()))
    };
    let mut grades = of_round(0)?;
    for later in 1..=round {
        grades.extend(of_round(later)?);
    }
    Ok((learnt, grades))
}

/// The pool of a round and the grades that were kept beside it.
fn graded(plan: &Plan, run: &RunDir, round: u32, progress: &Progress) -> Result<(Pool, PoolGrades)> {
    let pool = Pool::read(run, round)?;
    let none = || -> Result<Box<dyn Classifier>> {
        Err(Error::input(format!(
            "`{}` has no grades of this teacher: `limbeck run` with the run's recipe makes them",
            run.path().display()
        )))
    };
    let key = grades::key(plan, run, round)?;
    let grades = grades::of_pool(plan, run, &pool, round, &key, progress, &none)?;
    Ok((pool, grades))
}
