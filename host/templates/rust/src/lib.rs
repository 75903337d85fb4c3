//! `{name}`: clear images first. The score is `p · (floor + (1 − floor) · m)`, the weight `floor + (1 − floor) · p`, where
//! `p` is the teacher's probability of the class that the image was drawn for, and `m` how far its two most probable
//! classes are apart. Images with `p` below `floor` are dropped.
//!
//! Change it, then `limbeck policy build`, `check`, and `replay` on a finished run. What it can read is listed in
//! `limbeck_policy::column`.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, Veto, Weigher, column, export_policy, within};

pub struct Clear {
    floor: f64,
}

/// The `config` table of the recipe.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// From 0 to 1. Default 0.1.
    floor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { floor: 0.1 }
    }
}

impl Policy for Clear {
    const NAME: &str = "{name}";
    const SUMMARY: &str = "keeps and favours what the teacher sees clearly as its class";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        within("floor", config.floor, 0.0..=1.0)?;
        Ok(Self { floor: config.floor })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::TEACHER_P_CLASS.into(), column::TEACHER_MARGIN.into()]
    }

    fn reasons(&self) -> Vec<String> {
        vec!["the teacher gives the class less than `floor`".into()]
    }
}

impl Clear {
    /// From `floor` to 1 as `share` goes from 0 to 1.
    fn above_floor(&self, share: f64) -> f64 {
        self.floor + (1.0 - self.floor) * share
    }
}

impl Scorer for Clear {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
        let margin = batch.f32s(column::TEACHER_MARGIN)?; // [rows]
        let score = |(&p, &margin): (&f32, &f32)| (f64::from(p) * self.above_floor(margin.into())) as f32;
        let below = (0_u32..).zip(&p).filter(|&(_, &p)| f64::from(p) < self.floor);
        let vetoes = below.map(|(row, _)| Veto { row, reason: 0 }).collect();
        Ok(Scores { values: p.iter().zip(&margin).map(score).collect(), vetoes })
    }
}

impl Weigher for Clear {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String> {
        let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
        Ok(p.iter().map(|&p| self.above_floor(p.into()).max(1e-6) as f32).collect())
    }
}

export_policy!(Clear: scorer, weigher);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn table() -> Table {
        Table::new(3)
            .with_f32s(column::TEACHER_P_CLASS, vec![0.9, 0.5, 0.05])
            .with_f32s(column::TEACHER_MARGIN, vec![0.8, 0.0, 0.9])
    }

    #[test]
    fn clear_images_win_and_doubtful_ones_are_dropped() {
        let mut policy: Clear = configure("{}", &Env::default()).unwrap();
        let scores = policy.score(&table()).unwrap();
        assert!(scores.values[0] > scores.values[1]);
        assert_eq!(scores.vetoes, [Veto { row: 2, reason: 0 }]);
        let weights = policy.weigh(&table()).unwrap();
        assert!(weights[0] > weights[1] && weights[1] > weights[2]);
    }

    #[test]
    fn a_floor_outside_its_range_is_refused() {
        assert!(configure::<Clear>(r#"{"floor": 2}"#, &Env::default()).is_err());
    }
}
