//! The learning rate over a training.

/// The learning rate over a training, as a factor of its peak.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    Constant,
    /// Half a cosine from one to zero.
    Cosine,
    /// Multiplied by `gamma` at each of these fractions of the training.
    Step {
        milestones: Vec<f64>,
        gamma: f64,
    },
}

impl Schedule {
    /// The factor at `step` of `total`. Over the first `warmup` steps it grows linearly from zero; a cosine falls over the rest,
    /// milestones are fractions of the whole.
    pub fn factor(&self, step: u64, total: u64, warmup: u64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let done = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()),
            Self::Step { milestones, gamma } => {
                let at = step as f64 / total.max(1) as f64;
                gamma.powi(milestones.iter().filter(|&&milestone| at >= milestone).count() as i32)
            }
        }
    }
}
