//! Rank by how often an earlier student forgot the image: fell from right to wrong on it.
//!
//! Toneva, Sordoni, Combes, Trischler, Bengio and Gordon, "An empirical study of example forgetting during deep neural
//! network learning" (ICLR 2019, definition of forgetting events): what is never forgotten can be left out with little
//! loss, so `prefer = "forgotten"` keeps what is forgotten most; an image that was never learnt (seen, but never right)
//! counts as forgotten at each step that saw it. `prefer = "remembered"` keeps the easy ones. Needs the history of an
//! earlier training (`select.history`); free beyond that.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, column, export_scorer};

pub struct Forgetting {
    config: Config,
}

/// Which end of the scale is kept.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    #[default]
    Forgotten,
    Remembered,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `forgotten` (default) or `remembered`.
    prefer: Prefer,
}

impl Policy for Forgetting {
    const NAME: &str = "forgetting";
    const SUMMARY: &str = "ranks images by how often an earlier student forgot them";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        let history = [column::HISTORY_FORGOTTEN, column::HISTORY_SEEN, column::HISTORY_P_CLASS];
        history.map(String::from).to_vec()
    }
}

impl Scorer for Forgetting {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let forgotten = batch.u64s(column::HISTORY_FORGOTTEN)?; // [rows]
        let seen = batch.u64s(column::HISTORY_SEEN)?; // [rows]
        let p_class = batch.f32s(column::HISTORY_P_CLASS)?; // [rows], mean
        let events = |((&forgotten, &seen), &p): ((&u64, &u64), &f32)| {
            // Right at least once would have needed a mean above 1 / (C · seen); half a chance in all is never.
            let never_learnt = forgotten == 0 && f64::from(p) * (seen as f64) < 0.5;
            if never_learnt { seen as f32 } else { forgotten as f32 }
        };
        let events = forgotten.iter().zip(&seen).zip(&p_class).map(events);
        let score = |events: f32| match self.config.prefer {
            Prefer::Forgotten => events,
            Prefer::Remembered => -events,
        };
        Ok(Scores { values: events.map(score).collect(), vetoes: Vec::new() })
    }
}

export_scorer!(Forgetting);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    /// Scores of an image that was learnt for good, of one that was forgotten twice, and of one that was never learnt.
    fn scores(config: &str) -> Vec<f32> {
        let mut policy: Forgetting = configure(config, &Env::default()).unwrap();
        let batch = Table::new(3)
            .with_u64s(column::HISTORY_FORGOTTEN, vec![0, 2, 0])
            .with_u64s(column::HISTORY_SEEN, vec![10, 10, 10])
            .with_f32s(column::HISTORY_P_CLASS, vec![0.9, 0.5, 0.01]);
        policy.score(&batch).unwrap().values
    }

    #[test]
    fn what_is_forgotten_or_never_learnt_wins() {
        assert_eq!(scores("{}"), [0.0, 2.0, 10.0]);
        assert_eq!(scores(r#"{"prefer": "remembered"}"#), [0.0, -2.0, -10.0]);
        assert!(configure::<Forgetting>(r#"{"most": 1}"#, &Env::default()).is_err());
    }
}
