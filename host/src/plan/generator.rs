//! The generator in the plan: Limbeck's own, or a plugin with what is known of its training.

use std::path::Path;

use super::inputs::Inputs;
use super::magic::Kind;
use super::make::missing;
use super::plugin::{Wanted, plugin};
use super::{GeneratorPlan, TrainedSchedule, check};
use crate::config::GeneratorConfig;
use crate::{Error, Result};

const WEIGHTS: &str = "generator.weights";

impl GeneratorPlan {
    /// The file that messages name.
    pub fn shown(&self) -> &Path {
        let plugin = self.plugin.as_ref().map(|plugin| plugin.plugin.as_path());
        self.weights.as_deref().or(plugin).unwrap_or(Path::new(""))
    }
}

pub(super) fn generator(config: GeneratorConfig, inputs: &mut Inputs) -> Result<GeneratorPlan> {
    let GeneratorConfig { weights, plugin: path, sha256, allow_unpinned, config, train_steps, schedule } = config;
    let trained = match (train_steps, schedule) {
        (None, None) => None,
        (Some(steps), Some(schedule)) => {
            check::within("generator.train-steps", steps, 2..=10_000)?;
            Some(TrainedSchedule { steps, schedule })
        }
        (None, Some(_)) => return Err(missing("generator.train-steps", "`generator.schedule` says only half of it")),
        (Some(_), None) => return Err(missing("generator.schedule", "`generator.train-steps` says only half of it")),
    };
    let Some(path) = path else {
        let for_plugins = [
            ("sha256", sha256.is_some()),
            ("allow-unpinned", allow_unpinned),
            ("config", !config.is_empty()),
            ("train-steps", trained.is_some()),
        ];
        if let Some((key, _)) = for_plugins.iter().find(|(_, is_set)| *is_set) {
            return Err(Error::input(format!(
                "`generator.{key}` is for a plugin: name one as `generator.plugin`, or leave it out"
            )));
        }
        let weights = weights.ok_or_else(|| missing(WEIGHTS, "the network that draws is in it"))?;
        let weights = Some(inputs.add(WEIGHTS, &weights, Kind::Weights)?);
        let sha256 = inputs.sha256(WEIGHTS).unwrap_or_default().to_owned();
        return Ok(GeneratorPlan { weights, sha256, plugin: None, trained });
    };
    let plugin = plugin("generator", Wanted { path, sha256, allow_unpinned, weights, config }, inputs)?;
    let sha256 = inputs.sha256(WEIGHTS).unwrap_or_default().to_owned();
    Ok(GeneratorPlan { weights: plugin.weights.clone(), sha256, plugin: Some(plugin), trained })
}
