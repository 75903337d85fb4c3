//! InfoBatch: an image whose loss was below the mean when it last counted is left out of a step with probability `drop`;
//! where it stays it counts `1 / (1 − drop)`, so that the expected gradient is unchanged. Others count 1.
//!
//! Qin, Wang, Zheng, Gu, Peng, Xu, Zhou, Shang, Sun, Xie and You, "InfoBatch: lossless training speed up by unbiased dynamic
//! data pruning" (ICLR 2024): soft pruning, rescaling, and no pruning after the share `until` of training. The mean is that
//! of all images at the end of the epoch before; the first epoch leaves nothing out. The weights have the effect of InfoBatch
//! on the gradient, not on the time: the student has seen the image when the policy is asked. Needs two numbers a row, one random number each, and
//! remembers 16 bytes an image, which checkpoints keep.

use limbeck_policy::{Batch, Env, Memory, Policy, Weigher, column, export_weigher, math, random, within};

pub struct InfoBatch {
    config: Config,
    total_steps: u64,
    /// KL(p‖q) of an image when it last counted.
    losses: Memory<1>,
    /// Mean of those losses at the end of the last epoch. 0: nothing is below it.
    mean: f64,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How probably an easy image is left out, 0 to 0.95. Default 0.5, as in the paper.
    drop: f64,
    /// After this share of training nothing is left out, 0 to 1. Default 0.875, as in the paper.
    until: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { drop: 0.5, until: 0.875 }
    }
}

impl Policy for InfoBatch {
    const NAME: &str = "info-batch";
    const SUMMARY: &str = "easy images are left out at random, and count more where they stay";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("drop", config.drop, 0.0..=0.95)?;
        within("until", config.until, 0.0..=1.0)?;
        Ok(Self { config, total_steps: env.total_steps, losses: Memory::default(), mean: 0.0 })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::ID.into(), column::KL.into()]
    }

    fn epoch_end(&mut self, _: u32, _: &str) -> Result<(), String> {
        let sum: f64 = self.losses.iter().map(|(_, [loss])| loss).sum();
        self.mean = sum / self.losses.len().max(1) as f64;
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok([self.mean.to_le_bytes().to_vec(), self.losses.save()].concat())
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let (mean, losses) = state.split_first_chunk().ok_or("the state is cut off")?;
        self.losses.restore(losses)?;
        self.mean = f64::from_le_bytes(*mean);
        Ok(())
    }
}

impl Weigher for InfoBatch {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let (ids, losses) = (batch.u64s(column::ID)?, batch.f32s(column::KL)?); // [rows]
        let draws = random(ids.len() as u32);
        let pruning = (batch.step() as f64) < self.config.until * self.total_steps as f64;
        let survivor = (1.0 / (1.0 - self.config.drop)) as f32;
        let mut weights = Vec::with_capacity(ids.len());
        for ((id, loss), draw) in ids.into_iter().zip(losses).zip(draws) {
            let easy = self.losses.get(id).is_some_and(|[before]| before < self.mean);
            let out = pruning && easy && math::unit(draw) < self.config.drop;
            if !out {
                *self.losses.of(id) = [loss.into()];
            }
            weights.push(match () {
                () if out => 0.0,
                () if pruning && easy => survivor,
                () => 1.0,
            });
        }
        if weights.iter().all(|&weight| weight == 0.0) {
            weights.fill(1.0); // A step needs something to learn from.
        }
        Ok(weights)
    }
}

export_weigher!(InfoBatch);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    const ROWS: usize = 2000;

    fn weights(policy: &mut InfoBatch, step: u64, losses: &[f32]) -> Vec<f32> {
        let mut batch = Table::new(losses.len())
            .with_u64s(column::ID, (0..losses.len() as u64).collect())
            .with_f32s(column::KL, losses.to_vec());
        batch.step = step;
        policy.weigh(&batch).unwrap()
    }

    /// Even images are easy, odd ones hard; one epoch is over.
    fn warm() -> (InfoBatch, Vec<f32>) {
        let env = Env { total_steps: 100, ..Env::default() };
        let mut policy: InfoBatch = configure("{}", &env).unwrap();
        let losses: Vec<f32> = (0..ROWS).map(|row| if row % 2 == 0 { 0.1 } else { 2.0 }).collect();
        assert_eq!(weights(&mut policy, 0, &losses), [1.0; ROWS], "nothing is known in the first epoch");
        policy.epoch_end(0, "{}").unwrap();
        (policy, losses)
    }

    #[test]
    fn easy_images_are_left_out_and_hard_ones_never() {
        let (mut policy, losses) = warm();
        let weights = weights(&mut policy, 1, &losses);
        assert!(weights.iter().skip(1).step_by(2).all(|&weight| weight == 1.0));
        assert!(weights.iter().step_by(2).all(|&weight| weight == 0.0 || weight == 2.0));
    }

    #[test]
    fn the_expected_weight_is_one() {
        let (mut policy, losses) = warm();
        let mean = weights(&mut policy, 1, &losses).iter().sum::<f32>() / ROWS as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn the_end_of_training_sees_everything() {
        let (mut policy, losses) = warm();
        assert_eq!(weights(&mut policy, 88, &losses), [1.0; ROWS]);
    }

    #[test]
    fn a_state_comes_back_with_its_mean() {
        let (policy, _) = warm();
        let mut resumed: InfoBatch = configure("{}", &Env { total_steps: 100, ..Env::default() }).unwrap();
        resumed.restore(1, &policy.save().unwrap()).unwrap();
        assert_eq!((resumed.mean, &resumed.losses), (policy.mean, &policy.losses));
        assert!(resumed.restore(1, &[0; 10]).is_err());
    }

    #[test]
    fn equals_and_nothing_are_no_trouble() {
        let env = Env { total_steps: 100, ..Env::default() };
        let mut policy: InfoBatch = configure(r#"{"drop": 0.95}"#, &env).unwrap();
        policy.epoch_end(0, "{}").unwrap();
        for step in 0..20 {
            assert!(weights(&mut policy, step, &[0.5; 2]).iter().any(|&weight| weight > 0.0));
            policy.epoch_end(step as u32, "{}").unwrap();
        }
        assert!(weights(&mut policy, 0, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"drop": 1}"#, r#"{"until": 2}"#, r#"{"r": 0.5}"#] {
            assert!(configure::<InfoBatch>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
