//! Drop what is nearly the same as an earlier image of its class: cosine of the teacher's features at least `cosine`. The
//! rest is kept in order until the budget is spent, the clearest first.
//!
//! Near-duplicate removal by embeddings, as in SemDeDup (Abbas, Tirumala, Simig, Ganguli and Morcos, 2023) without its
//! clustering: the comparison is exact. The host compares; at worst n² × width multiplications within a class.

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, Veto, column, export_selector, groups, within};

pub struct NearDuplicates {
    config: Config,
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// From this cosine on, two images are the same; above 0 to 1. Default 0.99.
    cosine: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { cosine: 0.99 }
    }
}

const SAME: u32 = 0;
const BUDGET: u32 = 1;

impl Policy for NearDuplicates {
    const NAME: &str = "near-duplicates";
    const SUMMARY: &str = "drops images that nearly repeat another of their class";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        within("cosine", config.cosine, 1e-6..=1.0)?;
        if env.feature_dim == 0 {
            return Err("the teacher gives no features, which this policy compares: take another teacher".into());
        }
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        [column::TEACHER_FEATURES, column::CLASS, column::TEACHER_P_CLASS].map(String::from).to_vec()
    }

    fn reasons(&self) -> Vec<String> {
        vec!["another image is nearly the same".into(), "clearer images fill the budget".into()]
    }
}

impl Selector for NearDuplicates {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
        let (mut new, mut vetoes) = (Vec::new(), Vec::new());
        for (rows, _) in groups(batch, budget, true)? {
            let mut rows = rows;
            rows.sort_by(|&a, &b| p[b as usize].total_cmp(&p[a as usize]).then(a.cmp(&b)));
            let originals = batch.near_duplicates(column::TEACHER_FEATURES, &rows, self.config.cosine as f32)?;
            for (row, original) in rows.into_iter().zip(originals) {
                if row == original { new.push(row) } else { vetoes.push(Veto { row, reason: SAME }) }
            }
        }
        new.sort_by(|&a, &b| p[b as usize].total_cmp(&p[a as usize]).then(a.cmp(&b)));
        let beyond = new.split_off(new.len().min(budget as usize));
        vetoes.extend(beyond.into_iter().map(|row| Veto { row, reason: BUDGET }));
        vetoes.sort_unstable_by_key(|veto| veto.row);
        new.sort_unstable();
        Ok(Selection { keep: new, vetoes })
    }
}

export_selector!(NearDuplicates);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(budget: u32) -> Vec<u32> {
        let mut policy: NearDuplicates = configure("{}", &Env { feature_dim: 2, ..Env::default() }).unwrap();
        let batch = Table::new(4)
            .with_f32s(column::TEACHER_FEATURES, vec![1.0, 0.0, 1.0, 0.01, 0.0, 1.0, 1.0, 0.0])
            .with_f32s(column::TEACHER_P_CLASS, vec![0.5, 0.9, 0.7, 0.6])
            .with_u64s(column::CLASS, vec![0, 0, 0, 1]);
        policy.select(&batch, budget).unwrap().keep
    }

    #[test]
    fn of_two_alike_the_clearer_stays_and_classes_are_apart() {
        assert_eq!(kept(4), [1, 2, 3]);
    }

    #[test]
    fn the_clearest_fill_a_small_budget() {
        assert_eq!(kept(1), [1]);
        for config in [r#"{"cosine": 1.5}"#, r#"{"cos": 0.9}"#] {
            let env = Env { feature_dim: 2, ..Env::default() };
            assert!(configure::<NearDuplicates>(config, &env).is_err(), "{config}");
        }
    }
}
