//! Rank by where the image lies on an earlier student's map of the training: how sure it was of the right class on
//! average, and how much that moved.
//!
//! `keep = "ambiguous"`: the largest standard deviation of `q_y` over training (Swayamdipta, Schwartz, Lourie, Wang,
//! Hajishirzi, Smith and Choi, "Dataset cartography", EMNLP 2020, eq. 2), which their paper finds to teach best.
//! `keep = "easy"` and `"hard"`: the largest and smallest mean of `q_y` (eq. 1). `keep = "clean"`: the largest area under
//! the margin, the mean of `z_y − max_{k≠y} z_k` (Pleiss, Zhang, Elenberg and Weinberger, NeurIPS 2020, eq. 1), which is low
//! for images of a wrong label. Needs the history of an earlier training (`select.history`); free beyond that.

use limbeck_policy::{Batch, Env, Policy, Scorer, Scores, column, export_scorer};

pub struct Cartography {
    config: Config,
}

/// The region of the map that is kept.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    #[default]
    Ambiguous,
    Easy,
    Hard,
    Clean,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `ambiguous` (default), `easy`, `hard` or `clean`.
    keep: Region,
}

impl Policy for Cartography {
    const NAME: &str = "cartography";
    const SUMMARY: &str = "ranks images by how an earlier student's trust in them rose and moved";
    type Config = Config;

    fn new(config: Config, _: &Env) -> Result<Self, String> {
        Ok(Self { config })
    }

    fn needs(&self) -> Vec<String> {
        vec![self.column().into()]
    }
}

impl Cartography {
    fn column(&self) -> &'static str {
        match self.config.keep {
            Region::Ambiguous => column::HISTORY_P_CLASS_STD,
            Region::Easy | Region::Hard => column::HISTORY_P_CLASS,
            Region::Clean => column::HISTORY_MARGIN,
        }
    }
}

impl Scorer for Cartography {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let mut values = batch.f32s(self.column())?; // [rows]
        if let Region::Hard = self.config.keep {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        Ok(Scores { values, vetoes: Vec::new() })
    }
}

export_scorer!(Cartography);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    /// Which wins: an image that was learnt at once, one that went to and fro, or one that was never learnt.
    fn winner(config: &str) -> &'static str {
        let mut policy: Cartography = configure(config, &Env::default()).unwrap();
        let batch = Table::new(3)
            .with_f32s(column::HISTORY_P_CLASS, vec![0.98, 0.5, 0.03])
            .with_f32s(column::HISTORY_P_CLASS_STD, vec![0.02, 0.4, 0.01])
            .with_f32s(column::HISTORY_MARGIN, vec![6.0, 0.1, -5.0]);
        let values = policy.score(&batch).unwrap().values;
        let best = (0..3).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
        ["easy", "ambiguous", "hard"][best]
    }

    #[test]
    fn each_region_has_its_winner() {
        assert_eq!(winner("{}"), "ambiguous");
        assert_eq!(winner(r#"{"keep": "easy"}"#), "easy");
        assert_eq!(winner(r#"{"keep": "hard"}"#), "hard");
        assert_eq!(winner(r#"{"keep": "clean"}"#), "easy");
        assert!(configure::<Cartography>(r#"{"keep": "all"}"#, &Env::default()).is_err());
    }
}
