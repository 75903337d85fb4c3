//! What the network is: from the recipe's `config` table where it says, from the checkpoint's metadata otherwise.

use std::path::PathBuf;

use limbeck_backend::{Error, Result};
use serde::Deserialize;

/// The recipe's `[teacher] config`, with `weights` from `[teacher]` itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// A safetensors file.
    pub(crate) weights: PathBuf,
    /// A network's name, such as `resnet8`.
    network: Option<String>,
    classes: Option<usize>,
    channels: Option<usize>,
    /// Height and width in pixels.
    size: Option<usize>,
    /// Of the training images with values 0 to 1: one number, or one per channel.
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
}

/// One number for all channels, or one for each.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum PerChannel {
    All(f32),
    Each(Vec<f32>),
}

/// Config and metadata together, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) network: String,
    pub(crate) classes: usize,
    pub(crate) channels: usize,
    pub(crate) size: usize,
    /// One per channel.
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Config {
    /// Fails on unknown keys and wrong types, naming them.
    pub(crate) fn parse(config: &serde_json::Value) -> Result<Self> {
        if config.get("weights").is_none() {
            return Err(Error::new("it needs weights: write `weights = \"FILE.safetensors\"` under [teacher]"));
        }
        serde_json::from_value(config.clone()).map_err(|error| Error::new(format!("[teacher] config: {error}")))
    }
}

impl Settings {
    /// `entry` reads the checkpoint's metadata. Fails naming what neither of the two says, or says wrongly.
    pub(crate) fn new(config: &Config, entry: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let channels = number(config.channels, "channels", entry)?;
        let network = config.network.clone().or_else(|| entry("network")).ok_or_else(|| missing("network"))?;
        let mean = per_channel(&config.mean, "mean", channels, entry)?;
        let std = per_channel(&config.std, "std", channels, entry)?;
        if let Some(bad) = std.iter().find(|&&std| std <= 0.0) {
            return Err(Error::new(format!("`std` has {bad}, it must be positive")));
        }
        let (classes, size) = (number(config.classes, "classes", entry)?, number(config.size, "size", entry)?);
        Ok(Self { network, classes, channels, size, mean, std })
    }

    /// `(x - mean) / std` per channel, for images `[n, channels, size, size]`.
    pub(crate) fn normalise(&self, images: &[f32]) -> Vec<f32> {
        let mut normalised = Vec::with_capacity(images.len());
        let channels = self.mean.iter().zip(&self.std).cycle();
        for (plane, (mean, std)) in images.chunks_exact(self.size * self.size).zip(channels) {
            normalised.extend(plane.iter().map(|value| (value - mean) / std));
        }
        normalised
    }

    /// From the gradient with respect to normalised images to the one with respect to images: each channel by `1 / std`.
    pub(crate) fn through_normalisation(&self, gradient: &mut [f32]) {
        for (plane, std) in gradient.chunks_exact_mut(self.size * self.size).zip(self.std.iter().cycle()) {
            plane.iter_mut().for_each(|value| *value /= std);
        }
    }
}

fn number(config: Option<usize>, key: &str, entry: &dyn Fn(&str) -> Option<String>) -> Result<usize> {
    let number = match (config, entry(key)) {
        (Some(number), _) => number,
        (None, Some(text)) => {
            text.parse().map_err(|_| Error::new(format!("its metadata has `{key}` = `{text}`, not a whole number")))?
        }
        (None, None) => return Err(missing(key)),
    };
    if number == 0 { Err(Error::new(format!("`{key}` is 0"))) } else { Ok(number) }
}

fn per_channel(
    config: &Option<PerChannel>,
    key: &str,
    channels: usize,
    entry: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<f32>> {
    let found = match (config, entry(key)) {
        (Some(found), _) => found.clone(),
        (None, Some(text)) => serde_json::from_str(&text)
            .map_err(|_| Error::new(format!("its metadata has `{key}` = `{text}`, not a number or a list of them")))?,
        (None, None) => return Err(missing(key)),
    };
    let numbers = match found {
        PerChannel::All(number) => vec![number; channels],
        PerChannel::Each(numbers) => numbers,
    };
    if numbers.len() != channels || numbers.iter().any(|number| !number.is_finite()) {
        return Err(Error::new(format!("`{key}` is {numbers:?}, it needs {channels} finite numbers, one per channel")));
    }
    Ok(numbers)
}

fn missing(key: &str) -> Error {
    Error::new(format!("its metadata has no `{key}`: write `{key}` into [teacher] config"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(key: &str) -> Option<String> {
        let entries = [("network", "mlp"), ("classes", "10"), ("channels", "2"), ("size", "1"), ("mean", "0.5")];
        entries.iter().find(|entry| entry.0 == key).map(|entry| entry.1.to_owned())
    }

    fn settings(config: serde_json::Value) -> Result<Settings> {
        Settings::new(&Config::parse(&config)?, &stored)
    }

    #[test]
    fn the_recipe_goes_before_the_checkpoint() {
        let found = settings(json!({"weights": "w", "std": [0.5, 0.25], "classes": 7})).unwrap();
        assert_eq!((found.network.as_str(), found.classes), ("mlp", 7));
        assert_eq!(found.normalise(&[0.5, 1.0, 0.0, 0.5]), [0.0, 2.0, -1.0, 0.0]);
    }

    #[track_caller]
    fn refused(config: serde_json::Value, part: &str) {
        let message = settings(config).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(json!({}), "needs weights");
        refused(json!({"weights": "w"}), "no `std`: write `std` into [teacher] config");
        refused(json!({"weights": "w", "std": [1.0]}), "needs 2 finite numbers");
        refused(json!({"weights": "w", "std": 0.0}), "must be positive");
        refused(json!({"weights": "w", "std": 1.0, "size": 0}), "`size` is 0");
        refused(json!({"weights": "w", "sdt": 1.0}), "unknown field `sdt`");
    }
}
