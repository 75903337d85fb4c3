//! Self-paced learning: `w = 1 if ℓ < λ, else 0`, where `λ = start · growth^epoch`.
//!
//! The student begins with what is easy for it, and takes harder images in as λ grows. Where none of a batch is easy
//! enough, its easiest images count. Kumar, Packer and Koller, "Self-paced learning for latent variable models" (NIPS 2010),
//! whose 1/K is λ here. Needs one number a row.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct SelfPaced {
    config: Config,
}

/// Which loss is compared with λ.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    #[default]
    Kl,
    Class,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `kl` (default): KL(p‖q), the loss of distillation; `class`: −ln q_y. Both in nats at temperature 1.
    loss: Loss,
    /// λ in the first epoch, 0.001 to 1000 nats. Default 1.
    start: f64,
    /// By how much λ is multiplied from epoch to epoch, 1 to 100. Default 1.3.
    growth: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { loss: Loss::Kl, start: 1.0, growth: 1.3 }
    }
}

impl Policy for SelfPaced {
    const NAME: &str = "self-paced";
    const SUMMARY: &str = "images count once the student finds them easy enough, and the bar rises by epoch";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("start", config.start, 1e-3..=1e3)?;
        within("growth", config.growth, 1.0..=100.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![self.loss().into()]
    }
}

impl SelfPaced {
    fn loss(&self) -> &'static str {
        match self.config.loss {
            Loss::Kl => column::KL,
            Loss::Class => column::STUDENT_LOSS,
        }
    }
}

impl Weigher for SelfPaced {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let losses = batch.f32s(self.loss())?; // [rows], nats
        let bar = self.config.start * math::pow(self.config.growth, batch.epoch().into());
        let easiest = losses.iter().copied().fold(f32::INFINITY, f32::min);
        let easy = |loss: f32| f64::from(loss) < bar || loss == easiest;
        Ok(losses.into_iter().map(|loss| if easy(loss) { 1.0 } else { 0.0 }).collect())
    }
}

export_weigher!(SelfPaced);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(epoch: u32, losses: &[f32]) -> Vec<f32> {
        let mut policy: SelfPaced = configure(r#"{"start": 1, "growth": 2}"#, &Env::default()).unwrap();
        let mut batch = Table::new(losses.len()).with_f32s(column::KL, losses.to_vec());
        batch.epoch = epoch;
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn easy_images_come_first_and_hard_ones_later() {
        assert_eq!(weights(0, &[0.5, 1.5, 3.0]), [1.0, 0.0, 0.0]);
        assert_eq!(weights(1, &[0.5, 1.5, 3.0]), [1.0, 1.0, 0.0]);
        assert_eq!(weights(2, &[0.5, 1.5, 3.0]), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn the_easiest_count_where_none_is_easy() {
        assert_eq!(weights(0, &[9.0, 8.0, 8.0]), [0.0, 1.0, 1.0]);
        assert!(weights(0, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"start": 0}"#, r#"{"growth": 0.5}"#, r#"{"lambda": 1}"#, r#"{"loss": "ce"}"#] {
            assert!(configure::<SelfPaced>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
