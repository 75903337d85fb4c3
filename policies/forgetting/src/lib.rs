//! Forgetting events: an image that the student learnt and never forgot counts `floor`, every other 1.
//!
//! A forgetting event is a step in which the student is wrong about an image that it was right about when it last saw it.
//! Images that are forgotten, or not learnt yet, go on to count; unforgettable ones have little left to teach. Toneva,
//! Sordoni, Combes, Trischler, Bengio and Gordon, "An empirical study of example forgetting during deep neural network
//! learning" (ICLR 2019), sections 2 and 3, who drop the unforgettable. The first `warm-up` epochs only watch. Needs two
//! numbers a row and remembers 32 bytes an image, which checkpoints keep.

use limbeck_policy::{Batch, Env, Memory, Policy, Weigher, column, export_weigher, within};

pub struct Forgetting {
    config: Config,
    /// Whether the student was right about an image when last seen, how often it forgot it, whether it ever was right.
    seen: Memory<3>,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Epochs in which every image counts 1, 1 to 1000. Default 3.
    warm_up: u32,
    /// What an unforgettable image counts, 0.000001 to 1. Default 0.1.
    floor: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { warm_up: 3, floor: 0.1 }
    }
}

impl Policy for Forgetting {
    const NAME: &str = "forgetting";
    const SUMMARY: &str = "images that the student forgets count more than those it never does";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("warm-up", config.warm_up, 1..=1000)?;
        within("floor", config.floor, 1e-6..=1.0)?;
        Ok(Self { config, seen: Memory::default() })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::ID.into(), column::STUDENT_CORRECT.into()]
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.seen.save())
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        self.seen.restore(state)
    }
}

impl Weigher for Forgetting {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let (ids, correct) = (batch.u64s(column::ID)?, batch.f32s(column::STUDENT_CORRECT)?); // [rows], 0 or 1
        let warm = batch.epoch() >= self.config.warm_up;
        let weight = |(id, correct): (u64, f32)| {
            let [was_correct, forgotten, learnt] = self.seen.of(id);
            if *was_correct == 1.0 && correct == 0.0 {
                *forgotten += 1.0;
            }
            *was_correct = correct.into();
            *learnt = learnt.max(correct.into());
            let unforgettable = *learnt == 1.0 && *forgotten == 0.0;
            if warm && unforgettable { self.config.floor } else { 1.0 }
        };
        Ok(ids.into_iter().zip(correct).map(weight).collect())
    }
}

export_weigher!(Forgetting);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn policy() -> Forgetting {
        configure(r#"{"warm-up": 2}"#, &Env::default()).unwrap()
    }

    /// Images 0, 1 and so on in one batch an epoch.
    fn weights(policy: &mut Forgetting, epoch: u32, correct: &[f32]) -> Vec<f32> {
        let mut batch = Table::new(correct.len())
            .with_u64s(column::ID, (0..correct.len() as u64).collect())
            .with_f32s(column::STUDENT_CORRECT, correct.to_vec());
        batch.epoch = epoch;
        policy.weigh(&batch).unwrap()
    }

    /// Image 0 is learnt for good, 1 forgotten, 2 never learnt.
    fn story(policy: &mut Forgetting) {
        assert_eq!(weights(policy, 0, &[1.0, 1.0, 0.0]), [1.0; 3]);
        assert_eq!(weights(policy, 1, &[1.0, 0.0, 0.0]), [1.0; 3]);
    }

    #[test]
    fn the_forgotten_and_the_unlearnt_win_over_the_unforgettable() {
        let mut policy = policy();
        story(&mut policy);
        assert_eq!(weights(&mut policy, 2, &[1.0, 1.0, 0.0]), [0.1, 1.0, 1.0]);
    }

    #[test]
    fn memories_survive_a_checkpoint() {
        let (mut policy, mut resumed) = (policy(), self::policy());
        story(&mut policy);
        resumed.restore(1, &policy.save().unwrap()).unwrap();
        assert_eq!(weights(&mut resumed, 2, &[1.0, 1.0, 0.0]), [0.1, 1.0, 1.0]);
        assert!(resumed.restore(1, &[0; 7]).is_err());
    }

    #[test]
    fn a_batch_of_unforgettables_and_nothing_are_no_trouble() {
        let mut policy = policy();
        assert_eq!(weights(&mut policy, 5, &[1.0, 1.0]), [0.1, 0.1]);
        assert!(weights(&mut policy, 5, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"warm-up": 0}"#, r#"{"floor": 0}"#, r#"{"epochs": 1}"#] {
            assert!(configure::<Forgetting>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
