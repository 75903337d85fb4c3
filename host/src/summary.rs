//! `summary.json`: every figure of the report in one place, for scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::distill::{CACHE_USE_FILE, CacheUse};
use crate::eval::{ArmResult, Judgement};
use crate::plan::Plan;
use crate::policy::PolicyUse;
use crate::rounds::{self, ClassStats, Lag, Planned, subset_file};
use crate::run_dir::RunDir;
use crate::select::{Subset, link_usage_file, usage_file};
use crate::words::percent;
use crate::{Context as _, Result};

const TIMES: &str = "times.json";

/// The content of `summary.json`. What is not known yet is missing or null.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub name: String,
    /// The version of limbeck that wrote this.
    pub limbeck: &'static str,
    pub seed: u64,
    pub device: String,
    pub threads: usize,
    pub eval: Figures,
    pub counts: Counts,
    /// Each round of a run that has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<RoundFigures>,
    /// Wall time by stage, over all invocations that finished it.
    pub seconds: BTreeMap<String, f64>,
    /// What the policies used, by role; of a chain, each link too (`select 1`, `weigher 2`, …).
    pub policies: BTreeMap<String, PolicyUse>,
    /// What the teacher's kept answers saved; null without `[distill.cache]`.
    pub teacher_cache: Option<CacheUse>,
    /// SHA-256 of inputs by their key in the recipe, and of students by arm and seed.
    pub hashes: BTreeMap<String, String>,
}

/// Accuracies on the test images, as shares from 0 to 1; of students the mean over seeds and the spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    pub top1: Option<f64>,
    pub top1_std: Option<f64>,
    pub top5: Option<f64>,
    /// The same student on as many real images.
    pub baseline_top1: Option<f64>,
    pub baseline_top1_std: Option<f64>,
    pub baseline_top5: Option<f64>,
    pub teacher_top1: Option<f64>,
    pub test_images: Option<usize>,
}

impl Summary {
    /// The result in one line.
    pub fn headline(&self) -> String {
        let percent = |share: Option<f64>| share.map_or("unknown".to_owned(), |share| format!("{} %", percent(share)));
        let of_baseline =
            self.eval.baseline_top1.map(|_| format!(", on real images {}", percent(self.eval.baseline_top1)));
        format!(
            "top-1 {}{}, teacher {}",
            percent(self.eval.top1),
            of_baseline.unwrap_or_default(),
            percent(self.eval.teacher_top1)
        )
    }
}

/// What a round drew, and where its student stood.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundFigures {
    /// By class.
    pub drawn: Vec<u64>,
    pub kept: Option<usize>,
    /// Of the student of this round with the teacher, on held-out drawn images; the last round has none.
    pub agreement: Option<f64>,
    /// Likewise, by class.
    pub classes: Vec<ClassStats>,
}

/// How many images there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    pub drawn: usize,
    pub kept: Option<usize>,
    pub students: usize,
}

/// Adds the time of a stage to what earlier invocations took for it.
pub fn add_time(run: &RunDir, stage: &str, time: Duration) -> Result<()> {
    let mut times = Times::read(run)?;
    *times.seconds.entry(stage.to_owned()).or_default() += time.as_secs_f64();
    run.write_json(TIMES, &times)
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Times {
    seconds: BTreeMap<String, f64>,
}

impl Times {
    fn read(run: &RunDir) -> Result<Self> {
        Ok(run.read_json(TIMES)?.unwrap_or_default())
    }
}

/// Collects the figures of a run from its files, and writes `summary.json`.
pub fn write(plan: &Plan, run: &RunDir, device: &str) -> Result<Summary> {
    let judgement: Option<Judgement> = run.read_json("eval.json")?;
    let subsets = (0..plan.round_count()).map(|round| run.read_json(&subset_file(round)));
    let subsets: Vec<Option<Subset>> = subsets.collect::<Result<_>>()?;
    let mut hashes: BTreeMap<_, _> =
        plan.inputs.iter().map(|(key, input)| (key.clone(), input.sha256.clone())).collect();
    for (arm, result) in judgement.iter().flat_map(|judgement| &judgement.arms) {
        hashes
            .extend(result.students.iter().map(|student| (format!("{arm}.{}", student.seed), student.sha256.clone())));
    }
    let summary = Summary {
        name: plan.run.name.clone(),
        limbeck: env!("CARGO_PKG_VERSION"),
        seed: plan.run.seed,
        device: device.to_owned(),
        threads: rayon::current_num_threads(),
        eval: judgement.as_ref().map(figures).unwrap_or_default(),
        counts: counts(plan, judgement.as_ref(), &subsets),
        rounds: figures_by_round(plan, run, &subsets)?,
        seconds: Times::read(run)?.seconds,
        policies: policies(plan, run, judgement.as_ref())?,
        // Looking up can have taken more than asking would have.
        teacher_cache: run.read_json(CACHE_USE_FILE)?.map(|used: CacheUse| {
            let seconds_saved = used.seconds_saved.max(0.0);
            CacheUse { seconds_saved, ..used }
        }),
        hashes,
    };
    run.write_json("summary.json", &summary).context("summary")?;
    Ok(summary)
}

fn figures(judgement: &Judgement) -> Figures {
    let arm = |name: &str| judgement.arms.get(name);
    let (synthetic, real) = (arm("synthetic"), arm("real"));
    let top1 = |arm: Option<&ArmResult>| arm.map(|arm| arm.top1.mean);
    let std = |arm: Option<&ArmResult>| arm.and_then(|arm| arm.top1.std);
    let top5 = |arm: Option<&ArmResult>| arm.map(|arm| arm.top5.mean);
    Figures {
        top1: top1(synthetic),
        top1_std: std(synthetic),
        top5: top5(synthetic),
        baseline_top1: top1(real),
        baseline_top1_std: std(real),
        baseline_top5: top5(real),
        teacher_top1: judgement.teacher.as_ref().map(|teacher| teacher.evaluation.top1),
        test_images: synthetic.and_then(|arm| arm.students.first()).map(|student| student.evaluation.images),
    }
}

/// What the planner and the selecting policy used over all rounds, and the weigher over all students of the run and of the
/// rounds before the last.
fn policies(plan: &Plan, run: &RunDir, judgement: Option<&Judgement>) -> Result<BTreeMap<String, PolicyUse>> {
    #[derive(Deserialize)]
    struct Weights {
        policy: PolicyUse,
        #[serde(default)]
        links: Vec<PolicyUse>,
    }
    let mut policies = BTreeMap::new();
    for round in 0..plan.round_count() {
        let mut files =
            vec![("planner".to_owned(), rounds::usage_file(round)), ("select".to_owned(), usage_file(round))];
        let links = 0..plan.select.chain.len();
        files.extend(links.map(|link| (format!("select {}", link + 1), link_usage_file(round, link))));
        for (role, file) in files {
            run.read_json(&file)?.into_iter().for_each(|usage| add(&mut policies, &role, usage));
        }
    }
    let students = judgement
        .iter()
        .flat_map(|judgement| &judgement.arms)
        .flat_map(|(arm, result)| result.students.iter().map(move |student| (arm.clone(), student.seed)));
    let between = (0..plan.round_count()).filter(|&round| !plan.is_last(round)).flat_map(|round| {
        plan.training_in(round).distill.seeds.into_iter().map(move |seed| (rounds::arm(plan, round), seed))
    });
    for (arm, seed) in students.chain(between) {
        let weights: Option<Weights> = run.read_json(&format!("weights/{arm}-seed-{seed}.json"))?;
        if let Some(Weights { policy, links }) = weights {
            add(&mut policies, "weigher", policy);
            let links = links.into_iter().enumerate();
            links.for_each(|(link, usage)| add(&mut policies, &format!("weigher {}", link + 1), usage));
        }
    }
    Ok(policies)
}

fn add(policies: &mut BTreeMap<String, PolicyUse>, role: &str, usage: PolicyUse) {
    match policies.get_mut(role) {
        None => drop(policies.insert(role.to_owned(), usage)),
        Some(sum) => sum.add(&usage),
    }
}

fn figures_by_round(plan: &Plan, run: &RunDir, subsets: &[Option<Subset>]) -> Result<Vec<RoundFigures>> {
    let mut figures = Vec::new();
    if plan.rounds.is_none() {
        return Ok(figures);
    }
    for (round, subset) in subsets.iter().enumerate() {
        let Some(planned) = run.read_json::<Planned>(&rounds::planned_file(round as u32))? else { break };
        let mut drawn = vec![0; plan.data.classes];
        planned.class.iter().for_each(|&class| drawn[class as usize] += 1);
        let lag: Option<Lag> = run.read_json(&rounds::lag_file(round as u32))?;
        let kept = subset.as_ref().map(|subset| subset.kept.len());
        let agreement = lag.as_ref().map(|lag| lag.agreement);
        figures.push(RoundFigures { drawn, kept, agreement, classes: lag.map_or(Vec::new(), |lag| lag.classes) });
    }
    Ok(figures)
}

fn counts(plan: &Plan, judgement: Option<&Judgement>, subsets: &[Option<Subset>]) -> Counts {
    let all: Option<Vec<&Subset>> = subsets.iter().map(Option::as_ref).collect();
    let sum = |of: fn(&Subset) -> usize| all.as_ref().map(|all| all.iter().map(|subset| of(subset)).sum::<usize>());
    Counts {
        drawn: sum(|subset| subset.decisions.len()).unwrap_or(plan.synth.images),
        kept: sum(|subset| subset.kept.len()),
        students: judgement.map_or(0, |judgement| judgement.arms.values().map(|arm| arm.students.len()).sum()),
    }
}
