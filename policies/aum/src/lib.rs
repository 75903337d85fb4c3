//! Area under the margin: after `warm-up` epochs, the images whose mean over time of `z_y − max_{k≠y} z_k` is among the
//! lowest share `drop` of all count 0, the rest 1.
//!
//! Where the student goes on to prefer another class than the one the image was drawn for, the image is probably not of
//! that class: a *high* margin wins. Pleiss, Zhang, Elenberg and Weinberger, "Identifying mislabeled data using the area
//! under the margin ranking" (NeurIPS 2020), equations 1 and 2; a share takes the place of their threshold class. The bar
//! moves at the end of each epoch. A batch of dropped images counts by its highest margin. Needs C + 2 numbers a row and
//! remembers 24 bytes an image, which checkpoints keep.

use limbeck_policy::{Batch, Env, Memory, Policy, Weigher, column, export_weigher, within};

pub struct Aum {
    config: Config,
    classes: usize,
    /// How often an image was seen, and the sum of its margins.
    seen: Memory<2>,
    /// The margin below which images don't count.
    bar: f64,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The share of all images that is left out, 0 to 0.9: about the share of spoilt ones. Default 0.1.
    drop: f64,
    /// Epochs in which every image counts 1, 1 to 1000. Default 3.
    warm_up: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { drop: 0.1, warm_up: 3 }
    }
}

/// No bar yet. Finite, so that it can be saved like every other.
const NO_BAR: f64 = f64::MIN;

impl Policy for Aum {
    const NAME: &str = "aum";
    const SUMMARY: &str = "images that the student keeps seeing as another class don't count";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("drop", config.drop, 0.0..=0.9)?;
        within("warm-up", config.warm_up, 1..=1000)?;
        if env.classes < 2 {
            return Err(format!("a margin lies between classes, and there is {}: at least 2 are needed", env.classes));
        }
        Ok(Self { config, classes: env.classes as usize, seen: Memory::default(), bar: NO_BAR })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::ID.into(), column::CLASS.into(), column::STUDENT_LOGITS.into()]
    }

    fn epoch_end(&mut self, epoch: u32, _: &str) -> Result<(), String> {
        if epoch + 1 >= self.config.warm_up {
            self.bar = self.seen.quantile(self.config.drop, mean).unwrap_or(NO_BAR);
        }
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>, String> {
        Ok([self.bar.to_le_bytes().to_vec(), self.seen.save()].concat())
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let (bar, seen) = state.split_first_chunk().ok_or("the state is cut off")?;
        self.seen.restore(seen)?;
        self.bar = f64::from_le_bytes(*bar);
        Ok(())
    }
}

fn mean(&[times, sum]: &[f64; 2]) -> f64 {
    sum / times
}

/// `z_y − max_{k≠y} z_k`.
fn margin(logits: &[f32], y: usize) -> f64 {
    let others = logits.iter().enumerate().filter(|&(k, _)| k != y).map(|(_, &z)| z);
    f64::from(logits[y]) - f64::from(others.fold(f32::NEG_INFINITY, f32::max))
}

impl Weigher for Aum {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let (ids, class) = (batch.u64s(column::ID)?, batch.u64s(column::CLASS)?); // [rows]
        let logits = batch.f32s(column::STUDENT_LOGITS)?; // [rows, C]
        let mut means = Vec::with_capacity(ids.len());
        for ((id, y), logits) in ids.into_iter().zip(class).zip(logits.chunks_exact(self.classes)) {
            // As at the end of the last epoch, when the bar was set; new images are above every bar.
            means.push(self.seen.get(id).map_or(f64::INFINITY, |seen| mean(&seen)));
            let [times, sum] = self.seen.of(id);
            *times += 1.0;
            *sum += margin(logits, y as usize);
        }
        let highest = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let bar = self.bar.min(highest);
        Ok(means.into_iter().map(|mean| if mean >= bar { 1.0 } else { 0.0 }).collect())
    }
}

export_weigher!(Aum);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn policy() -> Aum {
        let env = Env { classes: 2, ..Env::default() };
        configure(r#"{"drop": 0.25, "warm-up": 1}"#, &env).unwrap()
    }

    /// All images are of class 0 with these margins.
    fn weights(policy: &mut Aum, margins: &[f32]) -> Vec<f32> {
        let rows = margins.len();
        let batch = Table::new(rows)
            .with_u64s(column::ID, (0..rows as u64).collect())
            .with_u64s(column::CLASS, vec![0; rows])
            .with_f32s(column::STUDENT_LOGITS, margins.iter().flat_map(|&margin| [margin, 0.0]).collect());
        policy.weigh(&batch).unwrap()
    }

    #[test]
    fn a_persistent_other_class_drops_an_image() {
        let mut policy = policy();
        assert_eq!(weights(&mut policy, &[3.0, -2.0, 1.0, 0.5]), [1.0; 4]);
        policy.epoch_end(0, "{}").unwrap();
        assert_eq!(weights(&mut policy, &[3.0, -2.0, 1.0, 0.5]), [1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn it_is_the_mean_over_time_that_counts() {
        let mut policy = policy();
        weights(&mut policy, &[3.0, 2.0, 1.0, 0.5]);
        policy.epoch_end(0, "{}").unwrap();
        weights(&mut policy, &[-3.0, 2.0, 1.0, 4.0]);
        policy.epoch_end(1, "{}").unwrap();
        assert_eq!(weights(&mut policy, &[9.0, 0.0, 0.0, 0.0]), [0.0, 1.0, 1.0, 1.0], "means 0, 2, 1 and 2.25");
    }

    #[test]
    fn a_state_comes_back_with_its_bar() {
        let (mut policy, mut resumed) = (policy(), self::policy());
        weights(&mut policy, &[3.0, -2.0, 1.0, 0.5]);
        policy.epoch_end(0, "{}").unwrap();
        resumed.restore(1, &policy.save().unwrap()).unwrap();
        assert_eq!(weights(&mut resumed, &[3.0, -2.0, 1.0, 0.5]), [1.0, 0.0, 1.0, 1.0]);
        assert!(resumed.restore(1, &[1, 2, 3]).unwrap_err().contains("cut off"));
    }

    #[test]
    fn a_batch_of_dropped_images_counts_by_the_best() {
        let mut policy = policy();
        weights(&mut policy, &[-5.0, -4.0, 9.0, 9.0, 9.0]);
        policy.bar = 5.0;
        assert_eq!(weights(&mut policy, &[-5.0, -4.0]), [0.0, 1.0]);
        assert!(weights(&mut policy, &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, ..Env::default() };
        for config in [r#"{"drop": 1}"#, r#"{"warm-up": 0}"#, r#"{"threshold": 1}"#] {
            assert!(configure::<Aum>(config, &env).is_err(), "{config}");
        }
        assert!(configure::<Aum>("{}", &Env { classes: 1, ..env }).is_err());
    }
}
