//! What a planner is told, and how it shares out its draws.

use serde::{Deserialize, Serialize};

/// The figures of the rounds before, as [`crate::Planner::plan`] gets them in JSON. Later versions of the host may send
/// more; what is missing is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Stats {
    /// The round to plan, from 0.
    pub round: u32,
    /// How many rounds the run has, at least 1.
    pub rounds: u32,
    /// The recipe's guidance scale.
    pub guidance: f32,
    /// The recipe's sampler steps.
    pub steps: u32,
    /// The first of the seeds that no round has used; all after it are free too.
    pub first_seed: u64,
    /// One entry a class, in their order; none before the first student.
    pub classes: Vec<ClassStats>,
    /// The held-out images on which the student is farthest from the teacher, the farthest first.
    pub hardest: Vec<Hard>,
}

/// How student and teacher stand on one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ClassStats {
    /// Images of the class that were drawn.
    pub images: u64,
    /// Those of them that were kept and that no student learnt from: the two shares are of these, and 0 where there are none.
    pub held_out: u64,
    /// The share of the class's held-out images of which the teacher sees the class, 0..=1.
    pub teacher_accuracy: f64,
    /// The share of the class's held-out images of which the student sees the class, 0..=1.
    pub student_accuracy: f64,
}

/// An image and how it was drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Hard {
    pub class: u32,
    pub guidance: f32,
    pub steps: u32,
    pub seed: u64,
    /// KL(p‖q) in nats, ≥ 0.
    pub kl: f64,
}

impl Stats {
    /// Reads what [`crate::Planner::plan`] was given.
    pub fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| format!("the figures of the rounds before: {error}"))
    }

    /// How much of the rounds is done before this one, from 0 in the first to 1 in the last.
    pub fn done(&self) -> f64 {
        let last = self.rounds.max(1) - 1;
        if last == 0 { 0.0 } else { (f64::from(self.round) / f64::from(last)).min(1.0) }
    }
}

/// Shares `images` out by weights (finite, not negative): whole numbers that sum up to `images`, by largest remainder, of
/// equals the first. Equal shares where all weights are 0; nothing where there are none.
pub fn apportion(weights: &[f64], images: u32) -> Vec<u32> {
    let sum: f64 = weights.iter().sum();
    let share = |&weight: &f64| {
        let part = if sum > 0.0 { weight / sum } else { 1.0 / weights.len() as f64 };
        part * f64::from(images)
    };
    let exact: Vec<f64> = weights.iter().map(share).collect();
    let mut counts: Vec<u32> = exact.iter().map(|share| share.floor() as u32).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let left = images - counts.iter().sum::<u32>().min(images);
    order.iter().cycle().take(if weights.is_empty() { 0 } else { left as usize }).for_each(|&class| counts[class] += 1);
    counts
}

/// So many of each index, in turn: `[2, 1]` gives 0, 1, 0.
pub fn in_turn(counts: &[u32]) -> Vec<u32> {
    let most = counts.iter().copied().max().unwrap_or(0);
    let turn = |turn| (0..counts.len() as u32).filter(move |&index| counts[index as usize] > turn);
    (0..most).flat_map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_up_and_follow_the_weights() {
        assert_eq!(apportion(&[1.0, 1.0, 2.0], 8), [2, 2, 4]);
        assert_eq!(apportion(&[1.0, 1.0, 1.0], 8), [3, 3, 2]);
        assert_eq!(apportion(&[0.0, 0.0], 3), [2, 1]);
        assert_eq!(apportion(&[0.1; 7], 1000).iter().sum::<u32>(), 1000);
        assert!(apportion(&[], 5).is_empty());
        assert_eq!(apportion(&[5.0], 0), [0]);
    }

    #[test]
    fn turns_mix_the_classes() {
        assert_eq!(in_turn(&[2, 0, 3]), [0, 2, 0, 2, 2]);
        assert!(in_turn(&[]).is_empty());
    }

    #[test]
    fn missing_figures_are_empty_and_wrong_ones_an_error() {
        let stats = Stats::read(r#"{"round": 1, "rounds": 3, "classes": [{"images": 5}], "new": true}"#).unwrap();
        assert_eq!((stats.done(), stats.classes[0].images, stats.hardest.len()), (0.5, 5, 0));
        assert_eq!(Stats::default().done(), 0.0);
        assert!(Stats::read(r#"{"round": "one"}"#).unwrap_err().contains("rounds before"));
    }
}
