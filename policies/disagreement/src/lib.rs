//! Rank by how far a student is from the teacher: `KL(p‖q)`, the largest first.
//!
//! Query by committee with two members that are not equals (McCallum and Nigam, ICML 1998, use the KL divergence to the
//! mean of the committee): where the student still differs, there is something to learn. With `only-different`, images on
//! which both have the same first guess are dropped. Needs a student (`select.student`); costs 3 C exponentials an image.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, Veto, column, export_scorer};

pub struct Disagreement {
    config: Config,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Drop the images on which teacher and student have the same first guess. Default false.
    only_different: bool,
}

impl Policy for Disagreement {
    const NAME: &str = "disagreement";
    const SUMMARY: &str = "ranks images by how far an earlier student is from the teacher";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        let mut needs = vec![column::KL.to_owned()];
        if self.config.only_different {
            needs.extend([column::TEACHER_LOGITS.into(), column::STUDENT_LOGITS.into(), column::CLASS.into()]);
        }
        needs
    }

    fn reasons(&self) -> Vec<String> {
        vec!["teacher and student see the same class".into()]
    }
}

impl Scorer for Disagreement {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let values = batch.f32s(column::KL)?; // [rows], nats
        if !self.config.only_different || values.is_empty() {
            return Ok(Scores { values, vetoes: Vec::new() });
        }
        let teacher = batch.f32s(column::TEACHER_LOGITS)?; // [rows, C]
        let student = batch.f32s(column::STUDENT_LOGITS)?; // [rows, C]
        let classes = teacher.len() / values.len();
        let pairs = teacher.chunks_exact(classes).zip(student.chunks_exact(classes)).enumerate();
        let same = pairs.filter(|(_, (teacher, student))| first_guess(teacher) == first_guess(student));
        let vetoes = same.map(|(row, _)| Veto { row: row as u32, reason: 0 }).collect();
        Ok(Scores { values, vetoes })
    }
}

/// The class of the largest logit, the lower one of equals.
fn first_guess(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, k| if logits[k] > logits[best] { k } else { best })
}

export_scorer!(Disagreement);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn scores(config: &str) -> Scores {
        let mut policy: Disagreement = configure(config, &Env::default()).unwrap();
        let batch = Table::new(3)
            .with_f32s(column::KL, vec![0.0, 2.0, 0.7])
            .with_f32s(column::TEACHER_LOGITS, vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
            .with_f32s(column::STUDENT_LOGITS, vec![1.0, 0.0, 0.0, 1.0, 0.2, 0.3]);
        policy.score(&batch).unwrap()
    }

    #[test]
    fn the_farthest_wins() {
        let values = scores("{}").values;
        assert!(values[1] > values[2] && values[2] > values[0]);
    }

    #[test]
    fn on_request_only_where_they_see_different_classes() {
        let vetoes: Vec<u32> = scores(r#"{"only-different": true}"#).vetoes.iter().map(|veto| veto.row).collect();
        assert_eq!(vetoes, [0, 2]);
        assert!(scores("{}").vetoes.is_empty());
        assert!(configure::<Disagreement>(r#"{"only_different": true}"#, &Env::default()).is_err());
    }
}
