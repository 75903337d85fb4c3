//! Weight 1 for every image: plain distillation, and the measure for every other weigher.

use limbeck_policy::{Batch, Env, Policy, Weigher, export_weigher};

pub struct Uniform;

/// Nothing to configure.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Policy for Uniform {
    const NAME: &str = "uniform";
    const SUMMARY: &str = "every image counts the same";
    type Config = Config;

    fn new(_: Config, _: &Env) -> Result<Self, String> {
        Ok(Self)
    }

    fn needs(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Weigher for Uniform {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        Ok(vec![1.0; batch.rows()])
    }
}

export_weigher!(Uniform);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    #[test]
    fn every_row_weighs_one() {
        let mut policy: Uniform = configure("{}", &Env::default()).unwrap();
        assert_eq!(policy.weigh(&Table::new(3)), Ok(vec![1.0; 3]));
        assert!(configure::<Uniform>(r#"{"gamma": 1}"#, &Env::default()).is_err());
    }
}
