//! The generator that a plan names: the network of a weights file or a plugin, with what it must be told to draw.

use std::path::Path;

use candle_core::{DType, Device};
use limbeck_models::Params;
use limbeck_models::checkpoint::{self, Checkpoint};
use limbeck_models::dit::{Dit, DitConfig};
use serde::{Deserialize, Serialize};

use super::guidance::Conditional;
use crate::backend::{DenoiserInfo, Level, Services, open_denoiser, plugin_name};
use crate::hash::read_as_planned;
use crate::plan::{GeneratorPlan, NoiseSchedule, PluginPlan, TrainedSchedule};
use crate::progress::Progress;
use crate::{Error, Result};

/// What a generator's weights file says of itself, as JSON under `config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GeneratorConfig {
    pub model: DitConfig,
    /// Steps of the training schedule.
    pub steps: usize,
    pub schedule: NoiseSchedule,
}

/// A denoiser ready to draw.
pub struct Generator {
    pub net: Box<dyn Conditional>,
    pub classes: usize,
    /// Channels, height and width of the images.
    pub shape: [usize; 3],
    /// Of the training.
    pub steps: usize,
    pub schedule: NoiseSchedule,
    /// SHA-256 of the plugin, where one denoises.
    pub plugin: Option<String>,
}

impl Generator {
    /// Opens what the plan names. Fails with [`Error::Input`] on a file that `limbeck train generator` did not write and no
    /// plugin takes, and where nothing tells the schedule of the training. `progress` hears what a plugin warns of.
    pub fn open(plan: &GeneratorPlan, device: &Device, progress: &Progress) -> Result<Self> {
        match (&plan.plugin, &plan.weights) {
            (Some(plugin), _) => Self::of_plugin(plan, plugin, device, progress),
            (None, Some(weights)) => Self::of_file(weights, &plan.sha256, device),
            (None, None) => Err(Error::input("missing key `generator.weights`")),
        }
    }

    fn of_file(path: &Path, sha256: &str, device: &Device) -> Result<Self> {
        let shown = path.display();
        let file = checkpoint::parse(&read_as_planned(path, sha256)?, &shown.to_string())?;
        let GeneratorConfig { model, steps, schedule } = stored(&file, path)?.ok_or_else(|| {
            Error::input(format!("`{shown}` is not a generator: name a file that `limbeck train generator` wrote"))
        })?;
        let net = Dit::new(&model, &Params::frozen(file.tensors, DType::F32, device));
        let net = Box::new(net.map_err(|error| Error::from(error).context(shown))?);
        let shape = [model.channels, model.size, model.size];
        Ok(Self { net, classes: model.classes, shape, steps, schedule, plugin: None })
    }

    fn of_plugin(plan: &GeneratorPlan, plugin: &PluginPlan, device: &Device, progress: &Progress) -> Result<Self> {
        let services = Services::telling(progress, &plugin_name(plugin), Level::Warn);
        let net = open_denoiser(plugin, device, services)?;
        let DenoiserInfo { classes, channels, height, width, ref sha256, .. } = *net.info();
        let sha256 = Some(sha256.clone());
        let TrainedSchedule { steps, schedule } = match (plan.trained, &plan.weights) {
            (Some(trained), _) => trained,
            (None, weights) => weights.as_deref().map(told).transpose()?.flatten().ok_or_else(|| {
                Error::input(format!(
                    "nothing tells how the network of plugin `{}` was trained: set `generator.train-steps` and \
                     `generator.schedule`",
                    plugin.plugin.display()
                ))
            })?,
        };
        Ok(Self { net: Box::new(net), classes, shape: [channels, height, width], steps, schedule, plugin: sha256 })
    }
}

/// What a file of ours says of itself; `None` of any other.
fn stored(file: &Checkpoint, path: &Path) -> Result<Option<GeneratorConfig>> {
    let config = file.entry("config").filter(|_| file.entry("network").as_deref() == Some("dit"));
    let read = |config: String| {
        serde_json::from_str(&config).map_err(|error| {
            let shown = path.display();
            Error::input(format!(
                "`{shown}` describes its network wrongly in its entry `config` ({error}): train it again"
            ))
        })
    };
    config.map(read).transpose()
}

/// The schedule that a file of ours was trained with; `None` of any other, as a plugin's weights may be of any format.
fn told(path: &Path) -> Result<Option<TrainedSchedule>> {
    let file = match checkpoint::load(path) {
        Err(limbeck_models::Error::BadCheckpoint { .. }) => return Ok(None),
        file => file?,
    };
    let schedule = |config: GeneratorConfig| TrainedSchedule { steps: config.steps, schedule: config.schedule };
    Ok(stored(&file, path)?.map(schedule))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What a file of these bytes tells.
    fn told_by(bytes: &[u8]) -> Result<Option<TrainedSchedule>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.safetensors");
        std::fs::write(&path, bytes).unwrap();
        told(&path)
    }

    fn weights(network: &str, config: &str) -> Vec<u8> {
        let entries = [("network", network), ("config", config)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        checkpoint::to_bytes(&BTreeMap::new(), &entries.into()).unwrap()
    }

    const MODEL: &str = r#"{ "size": 8, "channels": 1, "patch": 2, "width": 8, "depth": 1, "heads": 1, "classes": 2 }"#;

    #[test]
    fn weights_of_ours_tell_their_schedule() {
        let config = format!(r#"{{ "model": {MODEL}, "steps": 250, "schedule": "cosine" }}"#);
        let trained = told_by(&weights("dit", &config)).unwrap().unwrap();
        assert_eq!((trained.steps, trained.schedule), (250, NoiseSchedule::Cosine));
    }

    #[test]
    fn weights_of_others_tell_nothing() {
        assert!(told_by(b"\x80\x02 a pickle").unwrap().is_none());
        assert!(told_by(&weights("unet", "{}")).unwrap().is_none());
    }

    #[test]
    fn what_weights_of_ours_tell_wrongly_is_named() {
        let config = format!(r#"{{ "model": {MODEL}, "steps": 250, "schedule": "steep" }}"#);
        let error = told_by(&weights("dit", &config)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("weights.safetensors` describes its network wrongly in its entry `config`"),
            "{message}"
        );
        assert!(message.contains("unknown variant `steep`"), "{message}");
        assert_eq!(error.exit_code(), 2);
        let missing = told(Path::new("/nowhere/weights.safetensors")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/weights.safetensors"), "{missing}");
    }
}
