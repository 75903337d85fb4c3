//! Weight 1 where the student's loss is below a bar that rises with the epochs, `floor` above it: easy images first.
//!
//! Self-paced learning of Kumar, Packer and Koller, "Self-paced learning for latent variable models" (NIPS 2010, eq. 4):
//! `v = 1[ℓ < λ]`, λ growing. Here `λ(epoch) = start · growth^epoch`, in nats of `−ln q_y`. Costs C exponentials an image,
//! on the host.

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct SelfPaced {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The bar of the first epoch in nats, above 0 to 100. Default 1.5.
    start: f64,
    /// What the bar is multiplied by at each epoch, 1 to 10. Default 1.3.
    growth: f64,
    /// The weight above the bar, above 0 to 1: a step never counts nothing. Default 0.01.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { start: 1.5, growth: 1.3, floor: 0.01 }
    }
}

impl Policy for SelfPaced {
    const NAME: &str = "self-paced";
    const SUMMARY: &str = "easy images first, harder ones as the epochs go by";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("start", config.start, 1e-6..=100.0)?;
        within("growth", config.growth, 1.0..=10.0)?;
        within("floor", config.floor, 1e-6..=1.0)?;
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::STUDENT_LOSS.into()]
    }
}

impl Weigher for SelfPaced {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let Config { start, growth, floor } = self.config;
        let bar = start * math::pow(growth, batch.epoch().into());
        let loss = batch.f32s(column::STUDENT_LOSS)?; // [rows], nats
        Ok(loss.into_iter().map(|loss| if f64::from(loss) < bar { 1.0 } else { floor as f32 }).collect())
    }
}

export_weigher!(SelfPaced);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn weights(epoch: u32) -> Vec<f32> {
        let mut policy: SelfPaced = configure(r#"{"start": 1, "growth": 2, "floor": 0.5}"#, &Env::default()).unwrap();
        let mut batch = Table::new(3).with_f32s(column::STUDENT_LOSS, vec![0.5, 1.5, 9.0]);
        batch.epoch = epoch;
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn easy_first_then_harder() {
        assert_eq!(weights(0), [1.0, 0.5, 0.5]);
        assert_eq!(weights(1), [1.0, 1.0, 0.5]);
        assert_eq!(weights(4), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"start": 0}"#, r#"{"growth": 0.5}"#, r#"{"floor": 0}"#, r#"{"lambda": 1}"#] {
            assert!(configure::<SelfPaced>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
