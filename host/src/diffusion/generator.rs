//! A generator's weights file: the network with what it must be told to draw.

use std::path::Path;

use candle_core::{DType, Device};
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::{Params, checkpoint};
use serde::{Deserialize, Serialize};

use crate::plan::NoiseSchedule;
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
    pub config: GeneratorConfig,
    pub net: Dit,
}

impl Generator {
    /// Reads the file that `limbeck train generator` wrote. Fails with [`Error::Input`] on any other.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let shown = path.display();
        let file = checkpoint::load(path)?;
        let config =
            file.entry("config").filter(|_| file.entry("network").as_deref() == Some("dit")).ok_or_else(|| {
                Error::input(format!("`{shown}` is not a generator: name a file that `limbeck train generator` wrote"))
            })?;
        let config: GeneratorConfig = serde_json::from_str(&config).map_err(|error| {
            Error::input(format!("`{shown}` describes its network wrongly ({error}): train it again"))
        })?;
        let net = Dit::new(&config.model, &Params::frozen(file.tensors, DType::F32, device));
        let net = net.map_err(|error| Error::from(error).context(shown))?;
        Ok(Self { config, net })
    }
}
