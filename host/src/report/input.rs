//! Reads what a run has left behind. What is missing is left out; what is damaged is left out and named.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::view::{Judgement, Metric, Plan, PolicyUse, Subset, Summary, Weights};
use crate::pool::{Pool, Sample};
use crate::run_dir::RunDir;

/// The round that a report shows.
const ROUND: u32 = 0;

/// Everything a report is made of.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) plan: Plan,
    /// The text of `plan.toml`.
    pub(super) plan_text: String,
    pub(super) samples: BTreeMap<u64, Sample>,
    pub(super) subset: Option<Subset>,
    pub(super) metrics: Vec<Metric>,
    pub(super) judgement: Option<Judgement>,
    /// By arm, one for each seed.
    pub(super) weights: Vec<(String, Weights)>,
    /// What each policy used, by its role.
    pub(super) policies: Vec<(String, PolicyUse)>,
    pub(super) summary: Summary,
    /// Parts that are there but can't be read, one sentence each.
    pub(super) damaged: Vec<String>,
}

impl Inputs {
    pub(super) fn read(run: &RunDir) -> Self {
        let mut inputs = Self::default();
        inputs.read_plan(run);
        inputs.read_pool(run);
        inputs.subset = inputs.json(run, &format!("subset/round-{ROUND:03}.json"));
        let usage = inputs.json(run, &format!("subset/round-{ROUND:03}-usage.json"));
        inputs.policies.extend(usage.map(|usage| ("select".to_owned(), usage)));
        inputs.judgement = inputs.json(run, "eval.json");
        inputs.summary = inputs.json(run, "summary.json").unwrap_or_default();
        inputs.read_metrics(run);
        inputs.read_weights(run);
        inputs
    }

    /// How many classes there are, as far as the files tell.
    pub(super) fn classes(&self) -> usize {
        let drawn = self.samples.values().map(|sample| sample.class as usize + 1).max();
        self.plan.data.classes.or(drawn).unwrap_or(0)
    }

    fn read_plan(&mut self, run: &RunDir) {
        let path = run.join("plan.toml");
        let Some(text) = self.text(&path) else { return };
        match toml::from_str(&text) {
            Ok(plan) => self.plan = plan,
            Err(error) => self.note(&path, error.message()),
        }
        self.plan_text = text;
    }

    fn read_pool(&mut self, run: &RunDir) {
        if !run.join(&crate::pool::round_dir(ROUND)).exists() {
            return;
        }
        match Pool::read(run, ROUND) {
            Ok(pool) => self.samples = pool.samples.into_iter().map(|sample| (sample.id, sample)).collect(),
            Err(error) => self.damaged.push(error.to_string()),
        }
    }

    fn read_metrics(&mut self, run: &RunDir) {
        let path = run.join("metrics.jsonl");
        let Some(text) = self.text(&path) else { return };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let (good, bad): (Vec<_>, Vec<_>) = lines.map(serde_json::from_str::<Metric>).partition(|line| line.is_ok());
        self.metrics = good.into_iter().flatten().collect();
        if !bad.is_empty() {
            self.note(&path, format_args!("{} lines can't be read", bad.len()));
        }
    }

    fn read_weights(&mut self, run: &RunDir) {
        let Ok(folder) = std::fs::read_dir(run.join("weights")) else { return };
        let names = folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names = names.filter(|name| name.ends_with(".json") && !name.starts_with('.')).collect::<Vec<_>>();
        names.sort();
        for name in names {
            let Some(mut weights) = self.json::<Weights>(run, &format!("weights/{name}")) else { continue };
            let name = name.trim_end_matches(".json").to_owned();
            let arm = name.split("-seed-").next().unwrap_or_default().to_owned();
            weights.policy.take().into_iter().for_each(|policy| self.add_use(&format!("weigh, arm {arm}"), policy));
            self.weights.push((arm, weights));
        }
    }

    /// Adds what a policy used to what the same one used in this role with other seeds.
    fn add_use(&mut self, role: &str, used: PolicyUse) {
        let same = self.policies.iter_mut().find(|(known, policy)| known == role && policy.sha256 == used.sha256);
        let Some((_, sum)) = same else { return self.policies.push((role.to_owned(), used)) };
        let add = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        sum.fuel = add(sum.fuel, used.fuel);
        sum.calls = add(sum.calls, used.calls);
        sum.seconds = sum.seconds.zip(used.seconds).map(|(a, b)| a + b);
        sum.peak_memory_bytes = sum.peak_memory_bytes.max(used.peak_memory_bytes);
    }

    fn json<T: DeserializeOwned>(&mut self, run: &RunDir, rel: &str) -> Option<T> {
        match run.read_json(rel) {
            Ok(value) => value,
            Err(error) => {
                self.damaged.push(error.to_string());
                None
            }
        }
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        match std::fs::read(path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.note(path, error);
                None
            }
        }
    }

    fn note(&mut self, path: &Path, reason: impl std::fmt::Display) {
        self.damaged.push(format!("`{}`: {reason}", path.display()));
    }
}
