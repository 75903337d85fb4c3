//! `[rounds]`: drawing in several rounds, each planned by what the student learnt from those before.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[rounds]`: the images of `[synth]` are drawn in several rounds. Each round is planned, drawn and selected, and students
/// learn from the kept images of all rounds so far; what they lack is the planner's guide to the next round. Without this
/// table there is one round.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RoundsConfig {
    /// How many rounds, 1 to 1000. Required.
    pub count: u32,
    /// Images of each round after the first, which draws what is left of `synth.images`: 1 to less than
    /// `synth.images / (count - 1)`. Default: the rounds are of one size.
    pub images_per_round: Option<usize>,
    /// Epochs of the students between rounds, 1 to 100000; those of the last round learn for `distill.epochs`. Time grows
    /// with it. Default: `distill.epochs`.
    pub epochs: Option<u32>,
    /// `retrain` (each round's students start afresh, and between rounds only that of the first seed is trained) or
    /// `continue` (each starts with the weights of the round before, the optimiser afresh). Default `retrain`.
    #[serde(default)]
    pub student: RoundStudent,
    /// The share of each class's kept images that no student learns from before the last round: the student is measured
    /// on them. More than 0 to 0.9. The students of the last round learn from them too. Default 0.2.
    #[serde(default = "held_out")]
    pub held_out: f32,
    /// Who says what to draw. Default: every class the same.
    pub planner: Option<PlannerConfig>,
}

/// What a round's students start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoundStudent {
    #[default]
    Retrain,
    Continue,
}

/// `[rounds.planner]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlannerConfig {
    /// A planner policy, a WebAssembly component. Required.
    pub policy: PathBuf,
    /// A free table, handed to the policy as JSON. Default: empty.
    #[serde(default)]
    pub config: serde_json::Map<String, serde_json::Value>,
}

fn held_out() -> f32 {
    0.2
}
