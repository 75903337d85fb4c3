//! From the plan of an optimiser to its rule and its learning rates.

use limbeck_models::optim::{Rule, Schedule as Shape, Settings};

use crate::plan::{OptimizerKind, OptimizerPlan, Schedule};

impl OptimizerPlan {
    /// What happens to gradients, with a moving average of this decay (0 for none).
    pub fn settings(&self, ema: f64) -> Settings {
        Settings {
            rule: self.rule(),
            clip_norm: self.clip_norm,
            accumulate: self.accumulate,
            ema: Some(ema).filter(|&decay| decay > 0.0),
        }
    }

    /// The update rule with its constants.
    pub fn rule(&self) -> Rule {
        let weight_decay = self.weight_decay;
        match self.kind {
            OptimizerKind::Sgd => Rule::Sgd { momentum: self.momentum, nesterov: self.nesterov, weight_decay },
            OptimizerKind::Adamw => Rule::adamw(weight_decay),
        }
    }

    /// The learning rate of step `step`, counted from 0, of `total` steps.
    pub fn lr_at(&self, step: u64, total: u64, steps_per_epoch: u64) -> f64 {
        let warmup = (self.warmup_epochs * steps_per_epoch as f64).round() as u64;
        let epochs = total as f64 / steps_per_epoch.max(1) as f64;
        let shape = match self.schedule {
            Schedule::Constant => Shape::Constant,
            Schedule::Cosine => Shape::Cosine,
            Schedule::Step => Shape::Step {
                milestones: self.milestones.iter().map(|&epoch| f64::from(epoch) / epochs).collect(),
                gamma: self.gamma,
            },
        };
        self.lr * shape.factor(step, total, warmup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_then_falls() {
        let plan = OptimizerPlan { lr: 0.5, warmup_epochs: 1.0, ..OptimizerPlan::default() };
        let rate = |step| plan.lr_at(step, 100, 10);
        assert_eq!(rate(0), 0.05);
        assert_eq!(rate(9), 0.5);
        assert!(rate(50) < rate(20) && rate(99) < 0.001 && rate(99) > 0.0);
    }

    #[test]
    fn the_rate_falls_at_milestones() {
        let plan =
            OptimizerPlan { lr: 1.0, schedule: Schedule::Step, milestones: vec![2, 4], ..OptimizerPlan::default() };
        let rates: Vec<_> = [0, 19, 20, 39, 40, 59].map(|step| plan.lr_at(step, 60, 10)).to_vec();
        let expected = [1.0, 1.0, 0.1, 0.1, 0.01, 0.01];
        assert!(rates.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{rates:?}");
    }
}
