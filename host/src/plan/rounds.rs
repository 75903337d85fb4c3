//! What each round of a run draws and who learns from it.

use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Plan;
pub use crate::config::RoundStudent;

/// The rounds of a run; see the fields of `config::RoundsConfig` for ranges and meaning.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RoundsPlan {
    pub count: u32,
    pub images_per_round: usize,
    pub epochs: u32,
    pub student: RoundStudent,
    pub held_out: f32,
    pub planner: Option<PlannerPlan>,
}

/// Who says what to draw.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlannerPlan {
    pub policy: PathBuf,
    /// A JSON object for the policy.
    pub config: serde_json::Value,
}

impl Plan {
    /// How many rounds there are: 1 without `[rounds]`.
    pub fn round_count(&self) -> u32 {
        self.rounds.as_ref().map_or(1, |rounds| rounds.count)
    }

    /// Whether the students of this round are those of the run.
    pub fn is_last(&self, round: u32) -> bool {
        round + 1 >= self.round_count()
    }

    /// The ids of the images of a round: they count on from round to round.
    pub fn round_ids(&self, round: u32) -> Range<u64> {
        let Some(rounds) = &self.rounds else { return 0..self.synth.images as u64 };
        let later = |rounds_left: u32| u64::from(rounds_left) * rounds.images_per_round as u64;
        let total = self.synth.images as u64;
        let end = total - later(rounds.count - 1 - round);
        let start = if round == 0 { 0 } else { total - later(rounds.count - round) };
        start..end
    }

    /// The most images that can be kept of all rounds, whatever the policies decide.
    pub fn most_kept(&self) -> usize {
        let of_round = |round| {
            let ids = self.round_ids(round);
            let all = self.select.keep.of((ids.end - ids.start) as usize);
            self.select.chain.iter().fold(all, |left, link| link.keep.of(left))
        };
        (0..self.round_count()).map(of_round).sum()
    }

    /// The plan of the trainings after a round: before the last one for fewer epochs and, where students start afresh,
    /// with the first seed only.
    pub fn training_in(&self, round: u32) -> Self {
        let mut plan = self.clone();
        if let Some(rounds) = self.rounds.as_ref().filter(|_| !self.is_last(round)) {
            plan.distill.epochs = rounds.epochs;
            plan.baseline = None;
            if rounds.student == RoundStudent::Retrain {
                plan.distill.seeds.truncate(1);
            }
        }
        plan
    }
}
