//! What the stages of a run with several rounds tell each other: which images a round draws and why, which of the kept
//! ones no student has seen, and how far the student lags on them. Files of the folder `rounds/` of a run.

mod draws;
mod kept;

pub use draws::{Draw, Draws, Planned, planned_file};
pub use kept::{kept, kept_so_far, split};

use serde::{Deserialize, Serialize};

/// What a planner is told: `limbeck_policy::Stats` as the host writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Figures {
    /// The round to plan, from 0.
    pub round: u32,
    pub rounds: u32,
    /// The recipe's.
    pub guidance: f32,
    /// The recipe's.
    pub steps: u32,
    /// No round has used it or any after it.
    pub first_seed: u64,
    /// One a class; none before the first student.
    pub classes: Vec<ClassFigures>,
    /// The farthest first.
    pub hardest: Vec<Hard>,
}

/// How student and teacher stand on one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassFigures {
    /// Drawn so far.
    pub images: u64,
    /// Kept so far that no student learnt from: the two shares are of these, and 0 where there are none.
    pub held_out: u64,
    pub teacher_accuracy: f64,
    pub student_accuracy: f64,
}

/// A held-out image and how it was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hard {
    pub class: u32,
    pub guidance: f32,
    pub steps: u32,
    pub seed: u64,
    /// KL(p‖q) in nats, of teacher and student at temperature 1.
    pub kl: f64,
}

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
    pub classes: Vec<ClassFigures>,
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

/// The file with a finished student, below the run directory.
pub fn student_file(arm: &str, seed: u64) -> String {
    format!("checkpoints/{arm}/seed-{seed}/student.safetensors")
}

/// The arm of the students of a round: `synthetic` in the last, which are those of the run.
pub fn arm(plan: &crate::plan::Plan, round: u32) -> String {
    if plan.is_last(round) { "synthetic".into() } else { format!("rounds/{round:03}") }
}
