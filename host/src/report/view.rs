//! The files of a run as the report sees them: every field may be missing, so an unfinished or newer run still shows.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Judgement {
    pub(super) teacher: Option<Result>,
    pub(super) arms: BTreeMap<String, Arm>,
}

impl Judgement {
    /// Whether the share of right answers among the best five says anything: of five classes or fewer it is always all.
    pub(super) fn has_top5(&self) -> bool {
        self.arms.values().flat_map(|arm| &arm.students).any(|student| student.per_class.len() > 5)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arm {
    pub(super) top1: Spread,
    pub(super) top5: Spread,
    pub(super) students: Vec<Result>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) std: Option<f64>,
}

/// What one network did on the test images.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Result {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) seed: u64,
    pub(super) network: String,
    pub(super) sha256: String,
    pub(super) images: u64,
    pub(super) top1: f64,
    pub(super) top5: f64,
    pub(super) per_class: Vec<Option<f64>>,
    pub(super) confusion: Vec<Vec<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subset {
    pub(super) decisions: Vec<Decision>,
    pub(super) policy: Option<PolicyUse>,
    pub(super) chain: Vec<PolicyUse>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Decision {
    pub(super) id: u64,
    pub(super) class: u32,
    pub(super) kept: bool,
    pub(super) score: Option<f64>,
    pub(super) reason: String,
    /// What the teacher sees, and its probability of `class`.
    pub(super) teacher_class: Option<u32>,
    pub(super) teacher_p_class: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PolicyUse {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sha256: String,
    pub(super) fuel: Option<u64>,
    pub(super) peak_memory_bytes: Option<u64>,
    pub(super) seconds: Option<f64>,
    pub(super) calls: Option<u64>,
    pub(super) lent_bytes: Option<u64>,
}

/// A round of a run that has several.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) planned: Planned,
    pub(super) lag: Option<Lag>,
}

/// `rounds/round-RRR.json`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Planned {
    pub(super) planner: Option<PolicyUse>,
    pub(super) figures: Figures,
    pub(super) class: Vec<u32>,
    pub(super) guidance: Vec<f64>,
    pub(super) steps: Vec<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Figures {
    pub(super) classes: Vec<ClassLag>,
}

/// `rounds/round-RRR-lag.json`
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Lag {
    pub(super) held_out: u64,
    pub(super) agreement: f64,
    pub(super) mean_kl: f64,
    pub(super) classes: Vec<ClassLag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ClassLag {
    pub(super) held_out: u64,
    pub(super) teacher_accuracy: f64,
    pub(super) student_accuracy: f64,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metric {
    pub(super) arm: String,
    pub(super) seed: u64,
    pub(super) step: u64,
    pub(super) epoch: Option<f64>,
    pub(super) loss: Option<f64>,
    pub(super) accuracy: Option<f64>,
}

/// `weights/<arm>-seed-<k>.json`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Weights {
    pub(super) ids: Vec<u64>,
    pub(super) mean_weight: Vec<Option<f64>>,
    pub(super) policy: Option<PolicyUse>,
    /// Of a chain of weighers.
    pub(super) links: Vec<PolicyUse>,
}

/// The parts of `summary.json` that the report shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Summary {
    /// Seconds by stage.
    pub(super) seconds: BTreeMap<String, f64>,
    pub(super) device: String,
    pub(super) threads: Option<u64>,
    pub(super) teacher_cache: Option<CacheUse>,
}

/// What the teacher's kept answers did.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CacheUse {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) seconds_asking: f64,
    pub(super) seconds_saved: f64,
    pub(super) bytes: u64,
}

/// The parts of `plan.toml` that the report puts into words.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Plan {
    pub(super) run: Run,
    pub(super) data: Data,
    pub(super) synth: Synth,
    pub(super) rounds: Option<Rounds>,
    pub(super) distill: Distill,
    pub(super) inputs: BTreeMap<String, Input>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Data {
    pub(super) classes: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Synth {
    pub(super) sampler: String,
    pub(super) steps: Option<u64>,
    pub(super) guidance: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rounds {
    pub(super) count: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Distill {
    pub(super) student: String,
    pub(super) epochs: Option<u64>,
    pub(super) temperature: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Input {
    pub(super) path: String,
    pub(super) sha256: String,
    pub(super) bytes: Option<u64>,
}
