//! Drop near duplicates: in the order of the teacher's `p_y`, the clearest first, an image is kept unless the cosine of its
//! features to one of its class that is kept already is `similarity` or more.
//!
//! Of a group of near duplicates the one wins that the teacher is surest of. What remains is cut to the budget in the same
//! order, the classes taking turns. Abbas, Tirumala, Simig, Ganguli and Morcos, "SemDeDup: data-efficient learning at web-scale through
//! semantic deduplication" (2023), section 3, where clusters take the place of classes and ε is 1 − `similarity`. Needs F + 1
//! numbers a row, the whole pool at once, and a teacher that gives features; the host compares, at most
//! images² × F / 2 C multiplications.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, Veto, column, export_selector, share, within};

pub struct NearDuplicates {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The cosine from which on two images are the same, −1 to 1. Default 0.99.
    similarity: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { similarity: 0.99 }
    }
}

impl Policy for NearDuplicates {
    const NAME: &str = "near-duplicates";
    const SUMMARY: &str = "drops images nearly the same as a clearer one of their class";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("similarity", config.similarity, -1.0..=1.0)?;
        if env.feature_dim == 0 {
            return Err("the teacher gives no features: name a teacher that does, or another policy".into());
        }
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::CLASS.into(), column::TEACHER_P_CLASS.into(), column::TEACHER_FEATURES.into()]
    }

    fn reasons(&self) -> Vec<String> {
        vec!["a clearer image is nearly the same".into()]
    }
}

impl Selector for NearDuplicates {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
        let mut vetoes = Vec::new();
        let mut turns = Vec::new(); // (place in its class, class, row)
        for (mut rows, _) in share(&class, true, u32::MAX) {
            rows.sort_by(|&a, &b| p[b as usize].total_cmp(&p[a as usize]).then(a.cmp(&b)));
            let cosine = self.config.similarity as f32;
            let originals = batch.near_duplicates(column::TEACHER_FEATURES, &rows, cosine)?;
            let mut place = 0;
            for (&row, original) in rows.iter().zip(originals) {
                if row == original {
                    turns.push((place, class[row as usize], row));
                    place += 1;
                } else {
                    vetoes.push(Veto { row, reason: 0 });
                }
            }
        }
        turns.sort_unstable();
        let mut keep: Vec<u32> = turns.into_iter().take(budget as usize).map(|(_, _, row)| row).collect();
        keep.sort_unstable();
        vetoes.sort_unstable_by_key(|veto| veto.row);
        Ok(Selection { keep, vetoes })
    }
}

export_selector!(NearDuplicates);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn select(class: &[u64], p: &[f32], features: &[f32], budget: u32) -> (Vec<u32>, Vec<u32>) {
        let env = Env { classes: 2, feature_dim: 2, total_steps: 0 };
        let mut policy: NearDuplicates = configure("{}", &env).unwrap();
        let batch = Table::new(class.len())
            .with_u64s(column::CLASS, class.to_vec())
            .with_f32s(column::TEACHER_P_CLASS, p.to_vec())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec());
        let Selection { keep, vetoes } = policy.select(&batch, budget).unwrap();
        (keep, vetoes.iter().map(|veto| veto.row).collect())
    }

    #[test]
    fn the_clearest_of_a_group_wins() {
        let features = [1.0, 0.0, 2.0, 0.01, 0.0, 1.0];
        assert_eq!(select(&[0; 3], &[0.6, 0.9, 0.1], &features, 3), (vec![1, 2], vec![0]));
    }

    #[test]
    fn classes_don_t_shadow_each_other() {
        assert_eq!(select(&[0, 1], &[0.6, 0.9], &[1.0, 0.0, 1.0, 0.0], 2), (vec![0, 1], vec![]));
    }

    #[test]
    fn a_small_budget_is_shared_by_the_classes() {
        let features = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        assert_eq!(select(&[0, 0, 1], &[0.9, 0.8, 0.1], &features, 2), (vec![0, 2], vec![]));
    }

    #[test]
    fn equals_zeros_and_nothing_are_no_trouble() {
        assert_eq!(select(&[1; 3], &[0.5; 3], &[1.0; 6], 3), (vec![0], vec![1, 2]));
        assert_eq!(select(&[0; 2], &[0.5; 2], &[0.0; 4], 2), (vec![0, 1], vec![]));
        assert_eq!(select(&[], &[], &[], 3), (vec![], vec![]));
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, feature_dim: 2, total_steps: 0 };
        for config in [r#"{"similarity": 1.5}"#, r#"{"epsilon": 0.01}"#] {
            assert!(configure::<NearDuplicates>(config, &env).is_err(), "{config}");
        }
        assert!(configure::<NearDuplicates>("{}", &Env::default()).is_err());
    }
}
