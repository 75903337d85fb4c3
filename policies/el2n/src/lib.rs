//! Rank by the length of an error: EL2N `‖q − e_y‖₂`, or KD-EL2N `‖q − p‖₂` with `target = "teacher"`; the highest first,
//! the lowest with `prefer = "easy"`. `q` is the student's softmax with `of = "student"`, otherwise the teacher's own.
//!
//! An image wins when these probabilities are far from where they should be. Paul, Ganguli and Dziugaite, "Deep
//! learning on a data diet: finding important examples early in training" (NeurIPS 2021), definition of the EL2N score; here
//! of one model instead of the mean over ten. `e_y` is one-hot. KD-EL2N puts the teacher's softmax in its place. Needs C
//! numbers a row (2 C against the teacher).

use limbeck_policy::{Batch, Env, Model, Policy, Scorer, Scores, column, export_scorer};

pub struct El2n {
    config: Config,
    classes: usize,
}

/// What the student should say.
#[derive(Clone, Copy, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    #[default]
    Class,
    Teacher,
}

/// Which end of the scale is kept.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    #[default]
    Hard,
    Easy,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Whose error: `teacher` (default) or `student`, where the stage has one.
    of: Model,
    /// `class` (default): one-hot at the intended class; `teacher`: its softmax.
    target: Target,
    /// `hard` (default) or `easy`.
    prefer: Prefer,
}

impl Policy for El2n {
    const NAME: &str = "el2n";
    const SUMMARY: &str = "keeps images whose probabilities are farthest from their target";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        if env.classes == 0 {
            return Err("there is no class to err about: `[data]` needs at least 1".into());
        }
        if config.of == Model::Teacher && config.target == Target::Teacher {
            return Err(
                "`target` is \"teacher\", and the teacher has no error against itself: set of = \"student\"".into()
            );
        }
        Ok(Self { config, classes: env.classes as usize })
    }

    fn needs(&self) -> Vec<String> {
        let target = match self.config.target {
            Target::Class => column::CLASS.into(),
            Target::Teacher => column::TEACHER_PROBS.into(),
        };
        vec![self.config.of.column("probs"), target]
    }
}

impl Scorer for El2n {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let q = batch.f32s(&self.config.of.column("probs"))?; // [rows, C]
        let q = q.chunks_exact(self.classes);
        let mut values: Vec<f32> = match self.config.target {
            Target::Class => {
                let classes = batch.u64s(column::CLASS)?; // [rows]
                q.zip(classes).map(|(q, y)| length(q, |k| f32::from(u8::from(k as u64 == y)))).collect()
            }
            Target::Teacher => {
                let p = batch.f32s(column::TEACHER_PROBS)?; // [rows, C]
                q.zip(p.chunks_exact(self.classes)).map(|(q, p)| length(q, |k| p[k])).collect()
            }
        };
        if let Prefer::Easy = self.config.prefer {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        Ok(Scores { values, vetoes: Vec::new() })
    }
}

/// `‖q − target‖₂`, summed in f64.
fn length(q: &[f32], target: impl Fn(usize) -> f32) -> f32 {
    let squares = q.iter().enumerate().map(|(k, &q)| {
        let error = f64::from(q) - f64::from(target(k));
        error * error
    });
    squares.sum::<f64>().sqrt() as f32
}

export_scorer!(El2n);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    const STUDENT: &str = r#"{"of": "student"}"#;

    /// Under a teacher that does not know, and a student that says `q`.
    fn scores(config: &str, q: &[f32]) -> Vec<f32> {
        let mut policy: El2n = configure(config, &Env { classes: 2, ..Env::default() }).unwrap();
        let rows = q.len() / 2;
        let batch = Table::new(rows)
            .with_f32s("student.probs", q.to_vec())
            .with_f32s("teacher.probs", [0.5, 0.5].repeat(rows))
            .with_u64s("class", vec![0; rows]);
        policy.score(&batch).unwrap().values
    }

    #[test]
    fn the_larger_error_wins() {
        let scores = scores(STUDENT, &[1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
        assert_eq!((scores[0], scores[2]), (0.0, 2.0_f32.sqrt()));
        assert!(scores[2] > scores[1] && scores[1] > scores[0], "{scores:?}");
    }

    #[test]
    fn the_teacher_may_be_the_target() {
        let scores = scores(r#"{"of": "student", "target": "teacher"}"#, &[1.0, 0.0, 0.5, 0.5]);
        assert!(scores[0] > scores[1] && scores[1] == 0.0, "{scores:?}");
    }

    #[test]
    fn the_teacher_errs_on_its_own_account_only() {
        assert_eq!(scores("{}", &[0.0, 1.0]), [0.5_f32.sqrt()]);
        let error = configure::<El2n>(r#"{"target": "teacher"}"#, &Env { classes: 2, ..Env::default() }).err().unwrap();
        assert!(error.contains("set of ="), "{error}");
    }

    #[test]
    fn easy_turns_the_order_round() {
        let scores = scores(r#"{"of": "student", "prefer": "easy"}"#, &[1.0, 0.0, 0.0, 1.0]);
        assert!(scores[0] > scores[1], "{scores:?}");
        assert!(configure::<El2n>(r#"{"prefer": "soft"}"#, &Env { classes: 2, ..Env::default() }).is_err());
    }

    #[test]
    fn nothing_and_equals_are_no_trouble() {
        assert!(scores(STUDENT, &[]).is_empty());
        let equal = scores(STUDENT, &[0.3, 0.7, 0.3, 0.7]);
        assert_eq!(equal[0], equal[1]);
        assert!(configure::<El2n>("{}", &Env::default()).is_err());
    }
}
