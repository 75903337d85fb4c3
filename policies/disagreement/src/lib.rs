//! Rank by how much student and teacher disagree: `KL(p‖q) = Σ p (ln p − ln q)`, the highest first.
//!
//! An image wins when the student still says something else than the teacher. With `only-where-differ` images on which both
//! see the same class are dropped whatever the budget. This is query by committee with two members (Seung, Opper and
//! Sompolinsky 1992; KL as its measure: McCallum and Nigam, "Employing EM and pool-based active learning", ICML 1998). Needs
//! one number a row; with `only-where-differ` 2 C more. For stages that have a student.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, Veto, column, export_scorer};

pub struct Disagreement {
    config: Config,
    classes: usize,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Drop images of which both see the same class. Default false.
    only_where_differ: bool,
}

impl Policy for Disagreement {
    const NAME: &str = "disagreement";
    const SUMMARY: &str = "keeps images on which the student is farthest from the teacher";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        if env.classes < 2 {
            return Err(format!("nobody disagrees about {} class: at least 2 are needed", env.classes));
        }
        Ok(Self { config, classes: env.classes as usize })
    }

    fn needs(&self) -> Vec<String> {
        let logits: &[&str] = if self.config.only_where_differ { &LOGITS } else { &[] };
        [column::KL].iter().chain(logits).map(|&name| name.into()).collect()
    }

    fn reasons(&self) -> Vec<String> {
        vec!["teacher and student see the same class".into()]
    }
}

const LOGITS: [&str; 2] = [column::TEACHER_LOGITS, column::STUDENT_LOGITS];

impl Scorer for Disagreement {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let values = batch.f32s(column::KL)?; // [rows], nats
        let mut vetoes = Vec::new();
        if self.config.only_where_differ {
            let (teacher, student) = (batch.f32s(LOGITS[0])?, batch.f32s(LOGITS[1])?); // [rows, C]
            let pairs = teacher.chunks_exact(self.classes).zip(student.chunks_exact(self.classes));
            let same = pairs.enumerate().filter(|(_, (teacher, student))| arg_max(teacher) == arg_max(student));
            vetoes.extend(same.map(|(row, _)| Veto { row: row as u32, reason: 0 }));
        }
        Ok(Scores { values, vetoes })
    }
}

/// The lower class of equals, as in the host's columns.
fn arg_max(logits: &[f32]) -> usize {
    let mut best = 0;
    for class in 1..logits.len() {
        if logits[class] > logits[best] {
            best = class;
        }
    }
    best
}

export_scorer!(Disagreement);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn scores(config: &str, table: Table) -> Scores {
        let mut policy: Disagreement = configure(config, &Env { classes: 2, ..Env::default() }).unwrap();
        policy.score(&table).unwrap()
    }

    #[test]
    fn the_farther_student_wins() {
        let scores = scores("{}", Table::new(3).with_f32s(column::KL, vec![0.1, 2.0, 0.0]));
        assert!(scores.values[1] > scores.values[0] && scores.values[0] > scores.values[2]);
        assert!(scores.vetoes.is_empty());
    }

    #[test]
    fn agreement_can_be_dropped() {
        let table = Table::new(3)
            .with_f32s(column::KL, vec![0.1, 2.0, 0.0])
            .with_f32s(column::TEACHER_LOGITS, vec![1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
            .with_f32s(column::STUDENT_LOGITS, vec![3.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let dropped = scores(r#"{"only-where-differ": true}"#, table).vetoes;
        assert_eq!(dropped.iter().map(|veto| veto.row).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn one_class_is_refused_and_nothing_is_not() {
        assert!(configure::<Disagreement>("{}", &Env { classes: 1, ..Env::default() }).is_err());
        assert_eq!(scores("{}", Table::new(0).with_f32s(column::KL, vec![])), Scores::default());
    }
}
