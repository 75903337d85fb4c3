//! The roles that a policy can play, as traits that run natively and in the sandbox alike.

use serde::de::DeserializeOwned;

use crate::Batch;

/// What the run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    /// How many classes.
    pub classes: u32,
    /// Numbers in a row of `teacher.features`; 0 when the teacher gives none.
    pub feature_dim: u32,
    /// Steps of training in all; 0 outside training.
    pub total_steps: u64,
}

/// What a policy wants under a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// See [`Policy::needs`].
    pub needs: Vec<String>,
    /// See [`Policy::reasons`].
    pub reasons: Vec<String>,
}

/// What every policy has, whatever its role.
pub trait Policy: Sized {
    /// The name in recipes, logs and reports: `kebab-case`.
    const NAME: &str;
    /// What it does, in a line.
    const SUMMARY: &str = "";
    /// Goes up by one when the bytes of [`Policy::save`] change their meaning.
    const STATE_VERSION: u32 = 1;

    /// The `config` table of the recipe. Derive `Deserialize` with `deny_unknown_fields`, so that a misspelt key is an
    /// error, and `rename_all = "kebab-case"`. An empty table arrives as `{}`: give fields defaults where there are any.
    type Config: DeserializeOwned;

    /// The policy under this configuration. An error is shown to the user as a fault of the recipe.
    fn new(config: Self::Config, env: &Env) -> Result<Self, String>;

    /// The columns that the policy reads (names in [`crate::column`]). The host computes no others.
    fn needs(&self) -> Vec<String>;

    /// The reasons for which it may drop a row, in words that complete "dropped: …"; [`Veto::reason`] counts in here.
    fn reasons(&self) -> Vec<String> {
        Vec::new()
    }

    /// Called after each epoch of training with a JSON object: `loss`, the mean over the steps since the last line of the
    /// training log. Later hosts may add figures, none of them measured on real test images.
    fn epoch_end(&mut self, _epoch: u32, _stats_json: &str) -> Result<(), String> {
        Ok(())
    }

    /// Everything that the policy learnt since [`Policy::new`], for a checkpoint.
    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    /// Takes back what [`Policy::save`] gave, perhaps to an older version of the policy.
    fn restore(&mut self, _state_version: u32, state: &[u8]) -> Result<(), String> {
        if state.is_empty() { Ok(()) } else { Err(format!("`{}` keeps no state, yet is given some", Self::NAME)) }
    }
}

/// A row that must not be kept whatever the budget, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Veto {
    pub row: u32,
    /// An index into [`Policy::reasons`].
    pub reason: u32,
}

/// What a scorer says of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// One finite number a row, the higher the sooner kept; equal ones are kept in the order of their ids.
    pub values: Vec<f32>,
    /// Rows not to be kept at all.
    pub vetoes: Vec<Veto>,
}

/// What a selector says of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The rows to keep, without repetition.
    pub keep: Vec<u32>,
    /// Rows left out, where there is a reason to tell.
    pub vetoes: Vec<Veto>,
}

/// One image to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    pub class: u32,
    pub guidance: f32,
    pub steps: u32,
    pub seed: u64,
}

/// Grades images, window by window over a pool of any size; the host ranks the rows and cuts.
pub trait Scorer: Policy {
    fn score(&mut self, batch: &dyn Batch) -> Result<Scores, String>;
}

/// Chooses at most `budget` images by itself.
pub trait Selector: Policy {
    fn select(&mut self, batch: &dyn Batch, budget: u32) -> Result<Selection, String>;
}

/// Weights images in each training step: one number a row, finite, not negative, not all zero. The host divides them by
/// their mean.
pub trait Weigher: Policy {
    fn weigh(&mut self, batch: &dyn Batch) -> Result<Vec<f32>, String>;
}

/// Says which images to draw in the next round, from the figures of the rounds before: [`crate::Stats`] as JSON.
pub trait Planner: Policy {
    fn plan(&mut self, images: u32, stats_json: &str) -> Result<Vec<Draw>, String>;
}

/// Makes a policy from its configuration as JSON, as the host does: `configure::<MyPolicy>("{}", &env)`.
pub fn configure<P: Policy>(config_json: &str, env: &Env) -> Result<P, String> {
    let config = serde_json::from_str(config_json).map_err(|error| format!("config: {error}"))?;
    P::new(config, env)
}
