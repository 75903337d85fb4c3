//! Keep what the teacher sees as what was asked for: the intended class among its `top` most probable ones, and its
//! probability at least `min-probability` and, with `above-chance`, above 1/C. Survivors are ranked by that probability `p_y`, so that a smaller budget keeps
//! the clearest.
//!
//! Dropping generated images that a classifier doubts follows He, Sun, Yu and others, "Is synthetic data from generative
//! models ready for image recognition?" (ICLR 2023), who do it with CLIP.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, Veto, column, export_scorer, within};

pub struct TeacherFilter {
    config: Config,
    /// 1/C.
    chance: f32,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The intended class must be among so many of the teacher's most probable ones; at least 1. Default 1: the teacher
    /// agrees.
    top: u32,
    /// The teacher's least probability of the intended class, 0 to 1. Default 0.
    min_probability: f32,
    /// The teacher's probability of the intended class must be above 1/C, as He and others ask of CLIP. Default false.
    above_chance: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { top: 1, min_probability: 0.0, above_chance: false }
    }
}

const NOT_AMONG: u32 = 0;
const UNSURE: u32 = 1;
const CHANCE: u32 = 2;

impl Policy for TeacherFilter {
    const NAME: &str = "teacher-filter";
    const SUMMARY: &str = "keeps images that the teacher sees as the class they were drawn for";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("top", config.top, 1..=env.classes)?;
        within("min-probability", config.min_probability, 0.0..=1.0)?;
        Ok(Self { config, chance: 1.0 / env.classes as f32 })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::TEACHER_RANK_CLASS.into(), column::TEACHER_P_CLASS.into()]
    }

    fn reasons(&self) -> Vec<String> {
        let among = match self.config.top {
            1 => "the teacher sees another class".into(),
            top => format!("the class is not among the teacher's first {top}"),
        };
        let unsure = format!("the teacher gives the class less than {}", self.config.min_probability);
        vec![among, unsure, "the teacher gives the class no more than chance".into()]
    }
}

impl Scorer for TeacherFilter {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let rank = batch.f32s(column::TEACHER_RANK_CLASS)?; // [rows], 0 is the most probable
        let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
        let veto = |(row, (&rank, &p)): (usize, (&f32, &f32))| {
            let reason = match () {
                () if rank >= self.config.top as f32 => NOT_AMONG,
                () if p < self.config.min_probability => UNSURE,
                () if self.config.above_chance && p <= self.chance => CHANCE,
                () => return None,
            };
            Some(Veto { row: row as u32, reason })
        };
        let vetoes = rank.iter().zip(&p).enumerate().filter_map(veto).collect();
        Ok(Scores { values: p, vetoes })
    }
}

export_scorer!(TeacherFilter);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn vetoes(config: &str) -> Vec<(u32, u32)> {
        let env = Env { classes: 3, ..Env::default() };
        let mut policy: TeacherFilter = configure(config, &env).unwrap();
        let batch = Table::new(4)
            .with_f32s(column::TEACHER_RANK_CLASS, vec![0.0, 0.0, 1.0, 2.0])
            .with_f32s(column::TEACHER_P_CLASS, vec![0.9, 0.4, 0.3, 0.1]);
        let scores = policy.score(&batch).unwrap();
        assert_eq!(scores.values, [0.9, 0.4, 0.3, 0.1]);
        scores.vetoes.iter().map(|veto| (veto.row, veto.reason)).collect()
    }

    #[test]
    fn the_teacher_must_agree() {
        assert_eq!(vetoes("{}"), [(2, NOT_AMONG), (3, NOT_AMONG)]);
        assert_eq!(vetoes(r#"{"top": 2}"#), [(3, NOT_AMONG)]);
        assert!(vetoes(r#"{"top": 3}"#).is_empty());
    }

    #[test]
    fn and_be_sure_enough() {
        assert_eq!(vetoes(r#"{"min-probability": 0.5}"#), [(1, UNSURE), (2, NOT_AMONG), (3, NOT_AMONG)]);
    }

    #[test]
    fn and_surer_than_chance() {
        assert_eq!(vetoes(r#"{"top": 3, "above-chance": true}"#), [(2, CHANCE), (3, CHANCE)]);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 3, ..Env::default() };
        for config in [r#"{"top": 0}"#, r#"{"top": 4}"#, r#"{"min-probability": 1.5}"#, r#"{"treshold": 1}"#] {
            assert!(configure::<TeacherFilter>(config, &env).is_err(), "{config}");
        }
    }
}
