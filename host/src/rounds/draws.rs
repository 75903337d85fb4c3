//! Which images a round draws.

use serde::{Deserialize, Serialize};

use super::Stats;
use crate::plan::Plan;
use crate::policy::PolicyId;
use crate::run_dir::RunDir;
use crate::{Error, Result};

/// One image to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    pub class: u32,
    pub guidance: f32,
    pub steps: u32,
    /// The stream of the run's noise.
    pub seed: u64,
}

/// What a round draws and why: the content of `rounds/round-RRR.json`, with a number for each image in each list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Planned {
    /// `None` where the recipe names no planner: every class the same.
    pub planner: Option<PolicyId>,
    /// What the planner knew.
    pub figures: Stats,
    /// No round up to this one has used this seed or any after it.
    pub next_seed: u64,
    pub class: Vec<u32>,
    pub guidance: Vec<f32>,
    pub steps: Vec<u32>,
    pub seed: Vec<u64>,
}

/// The file with [`Planned`], below the run directory.
pub fn planned_file(round: u32) -> String {
    format!("rounds/round-{round:03}.json")
}

impl Planned {
    /// Draws planned from these figures, by this planner.
    pub fn new(planner: Option<PolicyId>, figures: Stats, draws: &[Draw]) -> Self {
        let after = draws.iter().map(|draw| draw.seed.saturating_add(1)).max().unwrap_or(0);
        Self {
            planner,
            next_seed: figures.first_seed.max(after),
            figures,
            class: draws.iter().map(|draw| draw.class).collect(),
            guidance: draws.iter().map(|draw| draw.guidance).collect(),
            steps: draws.iter().map(|draw| draw.steps).collect(),
            seed: draws.iter().map(|draw| draw.seed).collect(),
        }
    }

    /// Reads what was planned for a round. A round that was not planned yet is refused.
    pub fn read(run: &RunDir, round: u32) -> Result<Self> {
        let file = planned_file(round);
        run.read_json(&file)?.ok_or_else(|| {
            Error::input(format!(
                "`{}` is missing: `limbeck run` with the run's recipe plans it",
                run.join(&file).display()
            ))
        })
    }
}

/// The draws of a round: all alike, or as planned.
pub enum Draws {
    /// Image `i` is of class `i mod classes`.
    Alike {
        classes: u64,
        guidance: f32,
        steps: u32,
    },
    Planned(Box<Planned>),
}

impl Draws {
    /// Those of a round, from its file where the plan has rounds.
    pub fn of(plan: &Plan, run: &RunDir, round: u32) -> Result<Self> {
        let (guidance, steps) = (plan.synth.guidance, plan.synth.steps as u32);
        let alike = Self::Alike { classes: plan.data.classes as u64, guidance, steps };
        if plan.rounds.is_none() {
            return Ok(alike);
        }
        let planned = Planned::read(run, round)?;
        let ids = plan.round_ids(round);
        let lists = [planned.class.len(), planned.guidance.len(), planned.steps.len(), planned.seed.len()];
        if lists.iter().any(|&length| length as u64 != ids.end - ids.start) {
            return Err(Error::input(format!(
                "`{}` plans {lists:?} images, the plan has {}: remove it, and `limbeck run` makes it anew",
                run.join(&planned_file(round)).display(),
                ids.end - ids.start
            )));
        }
        Ok(Self::Planned(Box::new(planned)))
    }

    /// The draw at `place` of its round, with this id.
    pub fn get(&self, place: usize, id: u64) -> Draw {
        match self {
            Self::Alike { classes, guidance, steps } => {
                Draw { class: (id % classes) as u32, guidance: *guidance, steps: *steps, seed: id }
            }
            Self::Planned(planned) => {
                let Planned { class, guidance, steps, seed, .. } = &**planned;
                Draw { class: class[place], guidance: guidance[place], steps: steps[place], seed: seed[place] }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_seeds_come_after_all_that_were_used() {
        let draw = |seed| Draw { class: 0, guidance: 1.0, steps: 1, seed };
        let figures = Stats { first_seed: 5, ..Stats::default() };
        assert_eq!(Planned::new(None, figures.clone(), &[draw(9), draw(2)]).next_seed, 10);
        assert_eq!(Planned::new(None, figures.clone(), &[draw(1)]).next_seed, 5);
        assert_eq!(Planned::new(None, figures, &[draw(u64::MAX)]).next_seed, u64::MAX);
    }
}
