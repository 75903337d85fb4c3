//! The same number of images of every class, the clearest of each first.
//!
//! Images of a class are ranked by the teacher's probability `p_y` of it, equal ones by their order; then the first of
//! every class are taken, the second of every class, and so on until the budget is spent. Where a class has too few, the
//! others share what it leaves. (Stratified top-k; no paper of its own.)

use limbeck_policy::{Batch, Env, Policy, Selection, Selector, Veto, column, export_selector};

pub struct ClassBalance;

/// Nothing to configure.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Policy for ClassBalance {
    const NAME: &str = "class-balance";
    const SUMMARY: &str = "keeps as many images of each class, the clearest first";
    type Config = Config;

    fn new(_: Config, _: &Env) -> Result<Self, String> {
        Ok(Self)
    }

    fn needs(&self) -> Vec<String> {
        vec![column::CLASS.into(), column::TEACHER_P_CLASS.into()]
    }

    fn reasons(&self) -> Vec<String> {
        vec!["clearer images fill its class".into()]
    }
}

impl Selector for ClassBalance {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        let p = batch.f32s(column::TEACHER_P_CLASS)?; // [rows]
        let mut rows: Vec<usize> = (0..class.len()).collect();
        rows.sort_by(|&a, &b| class[a].cmp(&class[b]).then(p[b].total_cmp(&p[a])).then(a.cmp(&b)));

        // (place in its class, class, row)
        let mut places: Vec<(u32, u64, u32)> = Vec::with_capacity(rows.len());
        for row in rows {
            let place = match places.last() {
                Some(&(place, last, _)) if last == class[row] => place + 1,
                _ => 0,
            };
            places.push((place, class[row], row as u32));
        }
        places.sort_unstable();

        let (kept, dropped) = places.split_at((budget as usize).min(places.len()));
        let mut keep: Vec<u32> = kept.iter().map(|&(_, _, row)| row).collect();
        keep.sort_unstable();
        Ok(Selection { keep, vetoes: dropped.iter().map(|&(_, _, row)| Veto { row, reason: 0 }).collect() })
    }
}

export_selector!(ClassBalance);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn kept(class: &[u64], p: &[f32], budget: u32) -> Vec<u32> {
        let mut policy: ClassBalance = configure("{}", &Env::default()).unwrap();
        let batch = Table::new(class.len())
            .with_u64s(column::CLASS, class.to_vec())
            .with_f32s(column::TEACHER_P_CLASS, p.to_vec());
        let selection = policy.select(&batch, budget).unwrap();
        assert_eq!(selection.keep.len() + selection.vetoes.len(), class.len());
        selection.keep
    }

    #[test]
    fn every_class_gets_its_share() {
        assert_eq!(kept(&[0, 0, 0, 0, 1, 1], &[0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 4), [0, 1, 4, 5]);
    }

    #[test]
    fn the_clearest_of_a_class_stay() {
        assert_eq!(kept(&[0, 0, 1, 1], &[0.2, 0.9, 0.1, 0.8], 2), [1, 3]);
    }

    #[test]
    fn a_poor_class_leaves_its_share_to_others() {
        assert_eq!(kept(&[0, 1, 1, 1], &[0.5, 0.9, 0.8, 0.7], 3), [0, 1, 2]);
    }

    #[test]
    fn a_large_budget_keeps_all() {
        assert_eq!(kept(&[0, 1], &[0.5, 0.5], 9), [0, 1]);
    }
}
