//! Data maps: after `warm-up` epochs the share `keep` of the images that is most `prefer` counts 1, the rest `floor`. By the
//! mean μ and the standard deviation σ over time of the student's probability `q_y`, an image is *ambiguous* where σ is
//! high, *easy* where μ is high, *hard* where μ is low.
//!
//! Swayamdipta, Schwartz, Lourie, Wang, Hajishirzi, Smith and Choi, "Dataset cartography: mapping and diagnosing datasets
//! with training dynamics" (EMNLP 2020), section 2: training on the ambiguous third generalised best; hard ones are often
//! mislabelled. The bar moves at the end of each epoch. Needs two numbers a row and remembers 32 bytes an image, which
//! checkpoints keep.

use limbeck_policy::{Batch, Env, Memory, Policy, Weigher, column, export_weigher, within};

pub struct Cartography {
    config: Config,
    /// How often an image was seen, and the sums of `q_y` and of its square.
    seen: Memory<3>,
    /// The measure from which images count 1.
    bar: f64,
}

/// Which region of the map counts.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    #[default]
    Ambiguous,
    Easy,
    Hard,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `ambiguous` (default), `easy` or `hard`.
    prefer: Prefer,
    /// The share of all images that counts 1, 0.01 to 1. Default 0.33, as in the paper.
    keep: f64,
    /// What the others count, 0.000001 to 1. Default 0.1.
    floor: f32,
    /// Epochs in which every image counts 1, 1 to 1000. Default 3.
    warm_up: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { prefer: Prefer::Ambiguous, keep: 0.33, floor: 0.1, warm_up: 3 }
    }
}

/// No bar yet. Finite, so that it can be saved like every other.
const NO_BAR: f64 = f64::MIN;

impl Policy for Cartography {
    const NAME: &str = "cartography";
    const SUMMARY: &str = "images on which the student wavers over time count more";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("keep", config.keep, 0.01..=1.0)?;
        within("floor", config.floor, 1e-6..=1.0)?;
        within("warm-up", config.warm_up, 1..=1000)?;
        Ok(Self { config, seen: Memory::default(), bar: NO_BAR })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::ID.into(), column::STUDENT_P_CLASS.into()]
    }

    fn epoch_end(&mut self, epoch: u32, _: &str) -> Result<(), String> {
        if epoch + 1 >= self.config.warm_up {
            let bar = self.seen.quantile(1.0 - self.config.keep, |seen| self.measure(seen));
            self.bar = bar.unwrap_or(NO_BAR);
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

impl Cartography {
    fn measure(&self, &[times, sum, squares]: &[f64; 3]) -> f64 {
        let mean = sum / times;
        match self.config.prefer {
            Prefer::Ambiguous => (squares / times - mean * mean).max(0.0).sqrt(),
            Prefer::Easy => mean,
            Prefer::Hard => -mean,
        }
    }
}

impl Weigher for Cartography {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let (ids, q) = (batch.u64s(column::ID)?, batch.f32s(column::STUDENT_P_CLASS)?); // [rows]
        let mut weights = Vec::with_capacity(ids.len());
        for (id, q) in ids.into_iter().zip(q.into_iter().map(f64::from)) {
            // As at the end of the last epoch, when the bar was set.
            let counts = self.seen.get(id).is_none_or(|seen| self.measure(&seen) >= self.bar);
            weights.push(if counts { 1.0 } else { self.config.floor });
            let [times, sum, squares] = self.seen.of(id);
            *times += 1.0;
            *sum += q;
            *squares += q * q;
        }
        Ok(weights)
    }
}

export_weigher!(Cartography);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn policy(prefer: &str) -> Cartography {
        configure(&format!(r#"{{"prefer": "{prefer}", "warm-up": 2}}"#), &Env::default()).unwrap()
    }

    fn weights(policy: &mut Cartography, q: &[f32]) -> Vec<f32> {
        let batch = Table::new(q.len())
            .with_u64s(column::ID, (0..q.len() as u64).collect())
            .with_f32s(column::STUDENT_P_CLASS, q.to_vec());
        policy.weigh(&batch).unwrap()
    }

    /// Image 0 is easy, 1 ambiguous, 2 hard.
    fn story(policy: &mut Cartography) -> Vec<f32> {
        assert_eq!(weights(policy, &[0.9, 0.1, 0.1]), [1.0; 3]);
        policy.epoch_end(0, "{}").unwrap();
        assert_eq!(weights(policy, &[0.9, 0.9, 0.1]), [1.0; 3]);
        policy.epoch_end(1, "{}").unwrap();
        weights(policy, &[0.9, 0.1, 0.1])
    }

    #[test]
    fn each_region_wins_when_it_is_preferred() {
        assert_eq!(story(&mut policy("easy")), [1.0, 0.1, 0.1]);
        assert_eq!(story(&mut policy("ambiguous")), [0.1, 1.0, 0.1]);
        assert_eq!(story(&mut policy("hard")), [0.1, 0.1, 1.0]);
    }

    #[test]
    fn a_state_comes_back_with_its_bar() {
        let (mut policy, mut resumed) = (policy("ambiguous"), self::policy("ambiguous"));
        story(&mut policy);
        resumed.restore(1, &policy.save().unwrap()).unwrap();
        assert_eq!(resumed.save(), policy.save());
        let next = [0.9, 0.9, 0.1];
        assert_eq!(weights(&mut resumed, &next), weights(&mut policy, &next));
        assert!(resumed.restore(1, &[0; 9]).is_err());
    }

    #[test]
    fn equals_and_nothing_are_no_trouble() {
        let mut policy = policy("ambiguous");
        weights(&mut policy, &[0.5, 0.5]);
        policy.epoch_end(1, "{}").unwrap();
        assert_eq!(weights(&mut policy, &[0.5, 0.5]), [1.0, 1.0]);
        assert!(weights(&mut policy, &[]).is_empty());
        assert!(self::policy("easy").epoch_end(5, "{}").is_ok());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        for config in [r#"{"keep": 0}"#, r#"{"floor": 0}"#, r#"{"warm-up": 0}"#, r#"{"prefer": "odd"}"#, r#"{"k": 1}"#]
        {
            assert!(configure::<Cartography>(config, &Env::default()).is_err(), "{config}");
        }
    }
}
