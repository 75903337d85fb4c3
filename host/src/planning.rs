//! The stage before each round of drawing: a planner policy is told where the student lags and says what to draw.

use crate::plan::{Plan, PlannerPlan};
use crate::policy::{
    Env, Limits, Policy, PolicyError, PolicyId, PolicyInstance, PolicyUse, Role, Sandbox, to_progress,
};
use crate::progress::Progress;
use crate::rounds::{Draw, Lag, Planned, Stats, lag_file, planned_file, state_file, usage_file};
use crate::run_dir::RunDir;
use crate::{Error, Result};

/// Fails on everything about the plan's planner that can be known before any work.
pub fn check(plan: &Plan, progress: &Progress) -> Result<()> {
    match planner(plan) {
        Some(planner) => start(plan, planner, progress).map(drop),
        None => Ok(()),
    }
}

/// Plans a round and writes `rounds/round-RRR.json`. One that was planned is left as it is; a plan without rounds needs
/// none.
pub fn run(plan: &Plan, run: &RunDir, progress: &Progress, round: u32) -> Result<()> {
    if plan.rounds.is_none() || run.join(&planned_file(round)).exists() {
        return Ok(());
    }
    let figures = figures(plan, run, round)?;
    let ids = plan.round_ids(round);
    let images = u32::try_from(ids.end - ids.start).map_err(|_| Error::input("a round draws at most 2³² images"))?;
    let (draws, id) = match planner(plan) {
        Some(planner) => {
            let (draws, usage) = ask(plan, planner, run, progress, &figures, images)?;
            run.write_json(&usage_file(round), &usage)?;
            (draws, Some(usage.id()))
        }
        None => (alike(plan, &figures, images), None),
    };
    progress.note(summary(&draws, id.as_ref(), &figures, plan.data.classes));
    // On one line: there are four numbers an image.
    let planned = serde_json::to_vec(&Planned::new(id, figures, &draws));
    run.write_atomic(&planned_file(round), &planned.map_err(|error| Error::failed(error.to_string()))?)
}

fn planner(plan: &Plan) -> Option<&PlannerPlan> {
    plan.rounds.as_ref()?.planner.as_ref()
}

/// What is known before this round.
fn figures(plan: &Plan, run: &RunDir, round: u32) -> Result<Stats> {
    let mut figures = Stats {
        round,
        rounds: plan.round_count(),
        guidance: plan.synth.guidance,
        steps: plan.synth.steps as u32,
        ..Stats::default()
    };
    if let Some(before) = round.checked_sub(1) {
        let file = lag_file(before);
        let lag: Option<Lag> = run.read_json(&file)?;
        let missing =
            || Error::failed(format!("`{}` is missing: it is written after each round", run.join(&file).display()));
        let Lag { classes, hardest, .. } = lag.ok_or_else(missing)?;
        figures.first_seed = Planned::read(run, before)?.next_seed;
        (figures.classes, figures.hardest) = (classes, hardest);
    }
    Ok(figures)
}

/// Every class the same, as `uniform-draw` does.
fn alike(plan: &Plan, figures: &Stats, images: u32) -> Vec<Draw> {
    let Stats { guidance, steps, first_seed, .. } = *figures;
    let classes = plan.data.classes as u32;
    let draw =
        |place: u32| Draw { class: place % classes, guidance, steps, seed: first_seed.saturating_add(place.into()) };
    (0..images).map(draw).collect()
}

fn start(plan: &Plan, planner: &PlannerPlan, progress: &Progress) -> Result<PolicyInstance> {
    let policy = Policy::open(&Sandbox::shared()?, &planner.policy)?;
    policy.role(&[Role::Planner])?;
    let env = Env {
        config_json: planner.config.to_string(),
        classes: plan.data.classes as u32,
        feature_dim: 0,
        total_steps: 0,
    };
    let log = to_progress(progress, &policy.stem());
    let instance = policy.start(&env, plan.run.seed, &Limits::from(&plan.limits), log)?;
    if let Some(column) = instance.setup().needs.first() {
        let policy = planner.policy.display().to_string();
        let reason =
            format!("no column `{column}` here: a planner gets the figures of the rounds before, and no columns");
        return Err(PolicyError::BadColumns { policy, reason }.into());
    }
    Ok(instance)
}

/// The planner's draws. What it has learnt goes with it from round to round.
fn ask(
    plan: &Plan,
    planner: &PlannerPlan,
    run: &RunDir,
    progress: &Progress,
    figures: &Stats,
    images: u32,
) -> Result<(Vec<Draw>, PolicyUse)> {
    let mut instance = start(plan, planner, progress)?;
    let version = instance.info().state_version;
    if let Some(before) = figures.round.checked_sub(1) {
        let state = fs_err::read(run.join(&state_file(before)))?;
        instance.restore(version, &state)?;
    }
    let stats = serde_json::to_string(figures).map_err(|error| Error::failed(error.to_string()))?;
    let draws = instance.plan(images, plan.data.classes as u32, figures.round, &stats)?;
    run.write_atomic(&state_file(figures.round), &instance.save()?)?;
    let draw = |draw: crate::policy::Draw| Draw {
        class: draw.class,
        guidance: draw.guidance,
        steps: draw.steps,
        seed: draw.seed,
    };
    Ok((draws.into_iter().map(draw).collect(), instance.usage()))
}

/// `plan: round 2 of 4 by weak-classes: 25 12 … images by class; the student lags most in class 3, by 12.50 %`
fn summary(draws: &[Draw], planner: Option<&PolicyId>, figures: &Stats, classes: usize) -> String {
    const SHOWN: usize = 20;
    let mut counts = vec![0_usize; classes];
    draws.iter().for_each(|draw| counts[draw.class as usize] += 1);
    let shown: Vec<_> = counts.iter().take(SHOWN).map(usize::to_string).collect();
    let more = if classes > SHOWN { " …" } else { "" };
    let lag = |class: &crate::rounds::ClassStats| class.teacher_accuracy - class.student_accuracy;
    let worst = figures.classes.iter().enumerate().max_by(|a, b| lag(a.1).total_cmp(&lag(b.1)).then(b.0.cmp(&a.0)));
    let why = match worst.map(|(class, found)| (class, lag(found))) {
        Some((class, lag)) if lag > 0.0 => format!("; the student lags most in class {class}, by {:.2} %", 100.0 * lag),
        Some(_) => "; the student lags in no class".to_owned(),
        None => String::new(),
    };
    format!(
        "plan: round {} of {} by {}: {}{more} images by class{why}",
        figures.round + 1,
        figures.rounds,
        planner.map_or("equal shares", |planner| planner.name.as_str()),
        shown.join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::{ClassStats, Hard};

    #[test]
    fn what_the_student_lags_in_is_told_only_where_it_lags() {
        let class = |teacher_accuracy, student_accuracy| ClassStats {
            images: 700,
            held_out: 70,
            teacher_accuracy,
            student_accuracy,
        };
        let told = |classes: Vec<ClassStats>| {
            let figures = Stats { round: 1, rounds: 2, classes, ..Stats::default() };
            summary(&[Draw { class: 1, guidance: 1.0, steps: 1, seed: 0 }], None, &figures, 2)
        };
        insta::assert_snapshot!(told(vec![]), @"plan: round 2 of 2 by equal shares: 0 1 images by class");
        insta::assert_snapshot!(told(vec![class(1.0, 1.0), class(1.0, 0.9996)]), @"plan: round 2 of 2 by equal shares: 0 1 images by class; the student lags most in class 1, by 0.04 %");
        insta::assert_snapshot!(told(vec![class(1.0, 1.0), class(0.5, 0.75)]), @"plan: round 2 of 2 by equal shares: 0 1 images by class; the student lags in no class");
    }

    #[test]
    fn policies_read_what_the_host_writes() {
        let class = ClassStats { images: 7, held_out: 2, teacher_accuracy: 1.0, student_accuracy: 0.5 };
        let hard = Hard { class: 1, guidance: 1.3, steps: 30, seed: 9, kl: 0.25 };
        let figures = Stats {
            round: 1,
            rounds: 3,
            guidance: 1.3,
            steps: 30,
            first_seed: u64::MAX,
            classes: vec![class],
            hardest: vec![hard],
        };
        let read = limbeck_policy::Stats::read(&serde_json::to_string(&figures).unwrap()).unwrap();
        assert_eq!((read.round, read.rounds, read.steps, read.first_seed), (1, 3, 30, u64::MAX));
        assert_eq!(read.guidance.to_bits(), 1.3_f32.to_bits());
        let (found, hard) = (read.classes[0], read.hardest[0]);
        assert_eq!((found.images, found.teacher_accuracy, found.student_accuracy), (7, 1.0, 0.5));
        assert_eq!((hard.class, hard.steps, hard.seed, hard.kl), (1, 30, 9, 0.25));
    }
}
