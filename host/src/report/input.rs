//! Reads what a run has left behind. What is missing is left out; what is damaged is left out and named.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::view::{Judgement, Metric, Plan, PolicyUse, Round, Subset, Summary, Weights};
use super::words::counted;
use crate::pool::{Pool, Sample};
use crate::run_dir::RunDir;

/// As many as a plan can have; a damaged one may say anything.
const MOST_ROUNDS: u32 = 1000;

/// Everything a report is made of.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) plan: Plan,
    /// The text of `plan.toml`.
    pub(super) plan_text: String,
    pub(super) samples: BTreeMap<u64, Sample>,
    /// Of all rounds.
    pub(super) subset: Option<Subset>,
    /// None of a run that has one round only.
    pub(super) rounds: Vec<Round>,
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
        for round in 0..inputs.plan.rounds.as_ref().map_or(1, |rounds| rounds.count.min(MOST_ROUNDS)) {
            inputs.read_round(run, round);
            inputs.read_pool(run, round);
            inputs.read_subset(run, round);
        }
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

    fn read_round(&mut self, run: &RunDir, round: u32) {
        let Some(planned) = self.json(run, &format!("rounds/round-{round:03}.json")) else { return };
        let lag = self.json(run, &format!("rounds/round-{round:03}-lag.json"));
        self.rounds.push(Round { planned, lag });
        let usage = self.json(run, &format!("rounds/round-{round:03}-usage.json"));
        usage.into_iter().for_each(|usage| self.add_use("plan", usage));
    }

    fn read_pool(&mut self, run: &RunDir, round: u32) {
        if !run.join(&crate::pool::round_dir(round)).exists() {
            return;
        }
        match Pool::read(run, round) {
            Ok(pool) => self.samples.extend(pool.samples.into_iter().map(|sample| (sample.id, sample))),
            Err(error) => self.damaged.push(error.to_string()),
        }
    }

    fn read_subset(&mut self, run: &RunDir, round: u32) {
        if let Some(subset) = self.json::<Subset>(run, &format!("subset/round-{round:03}.json")) {
            match &mut self.subset {
                None => self.subset = Some(subset),
                Some(all) => all.decisions.extend(subset.decisions),
            }
        }
        let usage = self.json(run, &format!("subset/round-{round:03}-usage.json"));
        usage.into_iter().for_each(|usage| self.add_use("select", usage));
        let links = self.subset.as_ref().map_or(0, |subset| subset.chain.len());
        for link in 1..=links {
            let usage = self.json(run, &format!("subset/round-{round:03}-link-{link}-usage.json"));
            usage.into_iter().for_each(|usage| self.add_use(&format!("select, link {link}"), usage));
        }
    }

    fn read_metrics(&mut self, run: &RunDir) {
        let path = run.join("metrics.jsonl");
        let Some(text) = self.text(&path) else { return };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let (good, bad): (Vec<_>, Vec<_>) = lines.map(serde_json::from_str::<Metric>).partition(|line| line.is_ok());
        self.metrics = good.into_iter().flatten().collect();
        if !bad.is_empty() {
            self.note(&path, format_args!("{} can't be read", counted(bad.len(), "line")));
        }
    }

    /// The weights of the run's students, and what the weigher used for those of the rounds too.
    fn read_weights(&mut self, run: &RunDir) {
        for name in json_files(&run.join("weights")) {
            let Some(mut weights) = self.json::<Weights>(run, &format!("weights/{name}.json")) else { continue };
            let arm = name.split("-seed-").next().unwrap_or_default().to_owned();
            self.add_weigher(&format!("weigh, arm {arm}"), &mut weights);
            self.weights.push((arm, weights));
        }
        for name in json_files(&run.join("weights/rounds")) {
            let Some(mut weights) = self.json::<Weights>(run, &format!("weights/rounds/{name}.json")) else { continue };
            self.add_weigher("weigh, between rounds", &mut weights);
        }
    }

    /// Of a chain each link, not their sum.
    fn add_weigher(&mut self, role: &str, weights: &mut Weights) {
        let (whole, links) = (weights.policy.take(), std::mem::take(&mut weights.links));
        if links.is_empty() {
            whole.into_iter().for_each(|policy| self.add_use(role, policy));
        }
        for (link, policy) in links.into_iter().enumerate() {
            self.add_use(&format!("{role}, link {}", link + 1), policy);
        }
    }

    /// Adds what a policy used to what the same one used in this role with other seeds.
    fn add_use(&mut self, role: &str, used: PolicyUse) {
        let same = self.policies.iter_mut().find(|(known, policy)| known == role && policy.sha256 == used.sha256);
        let Some((_, sum)) = same else { return self.policies.push((role.to_owned(), used)) };
        let add = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        sum.fuel = add(sum.fuel, used.fuel);
        sum.calls = add(sum.calls, used.calls);
        sum.lent_bytes = add(sum.lent_bytes, used.lent_bytes);
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

/// The names of the JSON files of a folder, without the extension, in their order; none where there is no folder.
fn json_files(folder: &Path) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = folder.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| !name.starts_with('.'))
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort();
    names
}
