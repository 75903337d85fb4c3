//! What the stages of a run with several rounds tell each other: which images a round draws and why, which of the kept
//! ones no student has seen, and how far the student lags on them. Files of the folder `rounds/` of a run.

mod draws;
mod kept;

pub use draws::{Draw, Draws, Planned, planned_file};
pub use kept::{kept, kept_so_far, split};
/// What a planner is told, as its SDK declares it.
pub use limbeck_policy::{ClassStats, Hard, Stats};

use serde::{Deserialize, Serialize};

/// Where the student of a round lags, on held-out drawn images: the content of `rounds/round-RRR-lag.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lag {
    /// The seed of the student that was measured, and the SHA-256 of its checkpoint.
    pub seed: u64,
    pub student: String,
    pub held_out: usize,
    /// The share of held-out images on which teacher and student see the same class, and their mean KL(p‖q) in nats.
    pub agreement: f64,
    pub mean_kl: f64,
    pub classes: Vec<ClassStats>,
    pub hardest: Vec<Hard>,
}

/// The file with [`Lag`] after a round, below the run directory.
pub fn lag_file(round: u32) -> String {
    format!("rounds/round-{round:03}-lag.json")
}

/// The file with what the planner used for a round.
pub fn usage_file(round: u32) -> String {
    format!("rounds/round-{round:03}-usage.json")
}

/// The file with what the planner has learnt up to a round.
pub fn state_file(round: u32) -> String {
    format!("rounds/round-{round:03}.state")
}

/// The file with what the selection of a round decided, below the run directory.
pub fn subset_file(round: u32) -> String {
    format!("subset/round-{round:03}.json")
}

/// The file with a finished student, below the run directory.
pub fn student_file(arm: &str, seed: u64) -> String {
    format!("checkpoints/{arm}/seed-{seed}/student.safetensors")
}

/// The arm of the students of a round: `synthetic` in the last, which are those of the run.
pub fn arm(plan: &crate::plan::Plan, round: u32) -> String {
    if plan.is_last(round) { "synthetic".into() } else { format!("rounds/{round:03}") }
}
