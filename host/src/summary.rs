//! `summary.json`: every figure of the report in one place, for scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::distill::{CACHE_USE_FILE, CacheUse};
use crate::eval::{ArmResult, Judgement};
use crate::plan::Plan;
use crate::policy::PolicyUse;
use crate::run_dir::RunDir;
use crate::select::{Subset, subset_file, usage_file};
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
    /// Wall time by stage, over all invocations that finished it.
    pub seconds: BTreeMap<String, f64>,
    /// What the policies used, by role.
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
        let percent =
            |share: Option<f64>| share.map_or("unknown".to_owned(), |share| format!("{:.2} %", 100.0 * share));
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
    let subset: Option<Subset> = run.read_json(&subset_file(0))?;
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
        counts: counts(plan, judgement.as_ref(), subset.as_ref()),
        seconds: Times::read(run)?.seconds,
        policies: policies(run, judgement.as_ref())?,
        teacher_cache: run.read_json(CACHE_USE_FILE)?,
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

/// What the selecting policy used, and what the weigher used over all students.
fn policies(run: &RunDir, judgement: Option<&Judgement>) -> Result<BTreeMap<String, PolicyUse>> {
    #[derive(Deserialize)]
    struct Weights {
        policy: PolicyUse,
    }
    let mut policies = BTreeMap::new();
    if let Some(usage) = run.read_json(&usage_file(0))? {
        policies.insert("select".to_owned(), usage);
    }
    for (arm, result) in judgement.iter().flat_map(|judgement| &judgement.arms) {
        for student in &result.students {
            let file = format!("weights/{arm}-seed-{}.json", student.seed);
            let Some(Weights { policy: usage }) = run.read_json(&file)? else { continue };
            match policies.get_mut("weigher") {
                None => drop(policies.insert("weigher".to_owned(), usage)),
                Some(sum) => add(sum, &usage),
            }
        }
    }
    Ok(policies)
}

fn add(sum: &mut PolicyUse, usage: &PolicyUse) {
    sum.calls += usage.calls;
    sum.fuel += usage.fuel;
    sum.lent_bytes += usage.lent_bytes;
    sum.seconds += usage.seconds;
    sum.peak_memory_bytes = sum.peak_memory_bytes.max(usage.peak_memory_bytes);
    // Means of figures over trainings of unlike length would say little.
    sum.metrics.clear();
}

fn counts(plan: &Plan, judgement: Option<&Judgement>, subset: Option<&Subset>) -> Counts {
    Counts {
        drawn: subset.map_or(plan.synth.images, |subset| subset.decisions.len()),
        kept: subset.map(|subset| subset.kept.len()),
        students: judgement.map_or(0, |judgement| judgement.arms.values().map(|arm| arm.students.len()).sum()),
    }
}
