//! The noise schedule: how much noise each training step has, and which of these steps a sampler visits.

use std::f64::consts::FRAC_PI_2;

use crate::plan::NoiseSchedule;

/// β of every training step. Linear: from 1e-4 to 0.02 at 1000 steps, scaled for others (Ho et al., arXiv 2006.11239).
/// Cosine: ᾱ is a squared cosine, β at most 0.999 (Nichol & Dhariwal, arXiv 2102.09672, equation 17).
fn betas(kind: NoiseSchedule, steps: usize) -> Vec<f64> {
    let n = steps as f64;
    match kind {
        NoiseSchedule::Linear => {
            let (first, last) = (0.1 / n, 20.0 / n);
            let beta = |i: usize| first + (last - first) * i as f64 / (n - 1.0).max(1.0);
            (0..steps).map(|i| beta(i).min(0.999)).collect()
        }
        NoiseSchedule::Cosine => {
            let alpha_bar = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
            let beta = |i: usize| 1.0 - alpha_bar((i + 1) as f64 / n) / alpha_bar(i as f64 / n);
            (0..steps).map(|i| beta(i).min(0.999)).collect()
        }
    }
}

/// The numbers of one step of a chain; the notation is that of arXiv 2006.11239 and 2102.09672.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The step of the training schedule that the denoiser is told.
    pub timestep: u32,
    /// ᾱ of this step.
    pub alpha_bar: f64,
    /// ᾱ of the step before in this chain; 1 before the first.
    pub alpha_bar_previous: f64,
    /// log β of this chain, the upper bound of the learned variance.
    pub log_beta: f64,
    /// log β̃, the lower bound; the first step takes the second's, whose own is −∞.
    pub log_posterior: f64,
    /// The posterior mean is `x0_weight · x₀ + xt_weight · x_t`.
    pub x0_weight: f64,
    pub xt_weight: f64,
}

/// A chain of steps, from least to most noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub steps: Vec<Step>,
}

impl Schedule {
    /// The whole chain of training: `steps` is at least 1.
    pub fn training(kind: NoiseSchedule, steps: usize) -> Self {
        let all: Vec<usize> = (0..steps).collect();
        Self::visiting(kind, steps, &all)
    }

    /// A chain of `count` evenly spaced steps of a training schedule, first and last included (improved DDPM's
    /// respacing); a single step is the last, from pure noise. `count` is clamped to `1..=training_steps`.
    pub fn respaced(kind: NoiseSchedule, training_steps: usize, count: usize) -> Self {
        let (count, last) = (count.clamp(1, training_steps), training_steps - 1);
        let visited: Vec<usize> = if count == 1 {
            vec![last]
        } else {
            let stride = last as f64 / (count - 1) as f64;
            (0..count).map(|i| (i as f64 * stride).round_ties_even() as usize).collect()
        };
        Self::visiting(kind, training_steps, &visited)
    }

    fn visiting(kind: NoiseSchedule, training_steps: usize, visited: &[usize]) -> Self {
        let mut product = 1.0;
        let alpha_bars: Vec<f64> = betas(kind, training_steps)
            .iter()
            .map(|beta| {
                product *= 1.0 - beta;
                product
            })
            .collect();
        let mut previous = 1.0;
        let mut steps: Vec<Step> = Vec::with_capacity(visited.len());
        for &timestep in visited {
            let alpha_bar = alpha_bars[timestep];
            steps.push(Step::new(timestep as u32, alpha_bar, previous));
            previous = alpha_bar;
        }
        if steps.len() > 1 {
            steps[0].log_posterior = steps[1].log_posterior;
        } else if let Some(only) = steps.first_mut() {
            only.log_posterior = only.log_beta;
        }
        Self { steps }
    }
}

impl Step {
    fn new(timestep: u32, alpha_bar: f64, alpha_bar_previous: f64) -> Self {
        let beta = 1.0 - alpha_bar / alpha_bar_previous;
        let posterior = beta * (1.0 - alpha_bar_previous) / (1.0 - alpha_bar);
        Self {
            timestep,
            alpha_bar,
            alpha_bar_previous,
            log_beta: beta.ln(),
            log_posterior: posterior.ln(),
            x0_weight: beta * alpha_bar_previous.sqrt() / (1.0 - alpha_bar),
            xt_weight: (1.0 - alpha_bar_previous) * (1.0 - beta).sqrt() / (1.0 - alpha_bar),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_only_grows() {
        for kind in [NoiseSchedule::Linear, NoiseSchedule::Cosine] {
            let chain = Schedule::training(kind, 1000);
            assert_eq!(chain.steps.len(), 1000);
            assert!(chain.steps.windows(2).all(|pair| pair[1].alpha_bar < pair[0].alpha_bar), "{kind:?}");
            assert!(chain.steps.iter().all(|s| s.log_posterior <= s.log_beta + 1e-12 && s.log_posterior.is_finite()));
        }
    }

    #[test]
    fn respacing_keeps_the_ends_and_the_noise_levels() {
        let all = Schedule::training(NoiseSchedule::Linear, 1000);
        let some = Schedule::respaced(NoiseSchedule::Linear, 1000, 50);
        let visited: Vec<u32> = some.steps.iter().map(|s| s.timestep).collect();
        assert_eq!((visited[0], visited[1], visited[49]), (0, 20, 999));
        assert!(some.steps.iter().all(|s| s.alpha_bar == all.steps[s.timestep as usize].alpha_bar));
        assert_eq!(Schedule::respaced(NoiseSchedule::Linear, 1000, 1000), all);
    }

    #[test]
    fn a_single_step_begins_at_pure_noise() {
        for kind in [NoiseSchedule::Linear, NoiseSchedule::Cosine] {
            let (all, one) = (Schedule::training(kind, 1000), Schedule::respaced(kind, 1000, 1));
            let found: Vec<_> = one.steps.iter().map(|s| (s.timestep, s.alpha_bar, s.alpha_bar_previous)).collect();
            assert_eq!(found, [(999, all.steps[999].alpha_bar, 1.0)]);
            assert_eq!(Schedule::respaced(kind, 1, 1), Schedule::training(kind, 1));
        }
    }
}
