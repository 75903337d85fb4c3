//! Weight by how decided the teacher is, whatever it decides for: `w = max(1 − H(p) / ln C, floor)`.
//!
//! A one-hot teacher gives 1, a uniform one the floor. Normalised entropy as a measure of a teacher's reliability follows
//! Kwon, Na, Lee and Kim, "Adaptive knowledge distillation based on entropy" (ICASSP 2020).

use limbeck_policy::{Batch, Env, Policy, Weigher, column, export_weigher, math, within};

pub struct EntropyWeight {
    /// ln C.
    most: f64,
    floor: f64,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The least weight, above 0 to 1: an undecided teacher still counts a little. Default 0.001.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { floor: 1e-3 }
    }
}

impl Policy for EntropyWeight {
    const NAME: &str = "entropy-weight";
    const SUMMARY: &str = "images that the teacher is decided about count more";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("floor", config.floor, 1e-6..=1.0)?;
        if env.classes < 2 {
            return Err(format!("entropy says nothing about {} class: at least 2 are needed", env.classes));
        }
        Ok(Self { most: math::ln(env.classes.into()), floor: config.floor })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::TEACHER_ENTROPY.into()]
    }
}

impl Weigher for EntropyWeight {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let entropy = batch.f32s(column::TEACHER_ENTROPY)?; // [rows], nats
        Ok(entropy.into_iter().map(|entropy| (1.0 - f64::from(entropy) / self.most).max(self.floor) as f32).collect())
    }
}

export_weigher!(EntropyWeight);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn env(classes: u32) -> Env {
        Env { classes, ..Env::default() }
    }

    #[test]
    fn the_more_decided_the_heavier() {
        let mut policy: EntropyWeight = configure("{}", &env(10)).unwrap();
        let batch = Table::new(3).with_f32s(column::TEACHER_ENTROPY, vec![0.0, 1.0, 10.0_f32.ln()]);
        let weights = policy.weigh(&batch).unwrap();
        assert_eq!(weights[0], 1.0);
        assert!(weights[0] > weights[1] && weights[1] > weights[2], "{weights:?}");
        assert_eq!(weights[2], 1e-3);
    }

    #[test]
    fn one_class_has_no_entropy() {
        assert!(configure::<EntropyWeight>("{}", &env(1)).is_err());
        assert!(configure::<EntropyWeight>(r#"{"floor": 2}"#, &env(10)).is_err());
    }
}
