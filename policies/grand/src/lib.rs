//! Rank by GraNd of the last layer: `‖q − e_y‖₂ · √(1 + ‖f‖₂²)`, the highest first.
//!
//! An image wins when a step on its cross-entropy would move the last layer most: the gradient with respect to the weights
//! is `(q − e_y) fᵀ`, with respect to the biases `q − e_y`, and this is the norm of both. Paul, Ganguli and Dziugaite, "Deep
//! learning on a data diet: finding important examples early in training" (NeurIPS 2021), definition of the GraNd score,
//! for one model and its last layer. `q` and `f` are probabilities and features of the teacher, or of the student where
//! the stage gives both. Needs C + F numbers a row.

use limbeck_policy::{Batch, Env, Model, Policy, Scorer, Scores, column, export_scorer};

pub struct Grand {
    config: Config,
    classes: usize,
    features: usize,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Whose gradient: `teacher` (default) or `student`.
    of: Model,
}

impl Policy for Grand {
    const NAME: &str = "grand";
    const SUMMARY: &str = "keeps images whose gradient in the last layer is longest";
    type Config = Config;

    fn new(config: Config, env: &Env) -> Result<Self, String> {
        if env.classes == 0 {
            return Err("there is no class to err about: `[data]` needs at least 1".into());
        }
        if env.feature_dim == 0 {
            return Err("the teacher gives no features: name a teacher that does, or another policy".into());
        }
        Ok(Self { config, classes: env.classes as usize, features: env.feature_dim as usize })
    }

    fn needs(&self) -> Vec<String> {
        vec![column::CLASS.into(), self.config.of.column("probs"), self.config.of.column("features")]
    }
}

impl Scorer for Grand {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String> {
        let class = batch.u64s(column::CLASS)?; // [rows]
        let q = batch.f32s(&self.config.of.column("probs"))?; // [rows, C]
        let f = batch.f32s(&self.config.of.column("features"))?; // [rows, F]
        // The student may have another number of features than the teacher.
        let width = f.len().checked_div(class.len()).unwrap_or(self.features);
        let rows = class.iter().zip(q.chunks_exact(self.classes)).zip(f.chunks_exact(width));
        Ok(Scores { values: rows.map(|((&y, q), f)| norm(y as usize, q, f)).collect(), vetoes: Vec::new() })
    }
}

/// Summed in f64.
fn norm(y: usize, q: &[f32], f: &[f32]) -> f32 {
    let error = |(k, &q): (usize, &f32)| f64::from(q) - f64::from(u8::from(k == y));
    let error: f64 = q.iter().enumerate().map(error).map(|error| error * error).sum();
    let features: f64 = f.iter().map(|&f| f64::from(f) * f64::from(f)).sum();
    (error * (1.0 + features)).sqrt() as f32
}

export_scorer!(Grand);

#[cfg(test)]
mod tests {
    use super::*;
    use limbeck_policy::{Table, configure};

    fn scores(p: &[f32], features: &[f32]) -> Vec<f32> {
        let mut policy: Grand = configure("{}", &Env { classes: 2, feature_dim: 1, total_steps: 0 }).unwrap();
        let rows = features.len();
        let batch = Table::new(rows)
            .with_u64s(column::CLASS, vec![0; rows])
            .with_f32s(column::TEACHER_PROBS, p.to_vec())
            .with_f32s(column::TEACHER_FEATURES, features.to_vec());
        policy.score(&batch).unwrap().values
    }

    #[test]
    fn the_larger_error_wins_and_so_do_the_longer_features() {
        let scores = scores(&[0.9, 0.1, 0.5, 0.5, 0.5, 0.5], &[1.0, 1.0, 3.0]);
        assert!(scores[2] > scores[1] && scores[1] > scores[0], "{scores:?}");
        assert_eq!(scores[1], 1.0, "√(½ · 2)");
    }

    #[test]
    fn no_error_has_no_gradient() {
        assert_eq!(scores(&[1.0, 0.0], &[9.0]), [0.0]);
        assert_eq!(scores(&[0.0, 1.0], &[0.0]), [2.0_f32.sqrt()]);
        assert!(scores(&[], &[]).is_empty());
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let env = Env { classes: 2, feature_dim: 1, total_steps: 0 };
        assert!(configure::<Grand>(r#"{"layer": "last"}"#, &env).is_err());
        assert!(configure::<Grand>("{}", &Env { feature_dim: 0, ..env }).is_err());
    }
}
