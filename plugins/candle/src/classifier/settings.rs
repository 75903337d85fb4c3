//! What the network is: from the recipe's `config` table where it says, else from the checkpoint's metadata, else from the
//! names and shapes of its tensors.

use std::cell::LazyCell;
use std::path::PathBuf;

use limbeck_backend::{Error, Result};
use limbeck_models::classifier::{self, Detected};
use limbeck_models::preprocess::{self, Interpolation};
use serde::Deserialize;

/// The recipe's `[teacher] config`, with `weights` from `[teacher]` itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// A safetensors file, or a `.pth` or `.pt` file of PyTorch's.
    pub(crate) weights: PathBuf,
    /// A network's name, such as `resnet8`.
    #[serde(alias = "architecture")]
    network: Option<String>,
    classes: Option<usize>,
    channels: Option<usize>,
    /// Height and width of the network's images in pixels.
    size: Option<usize>,
    /// Height and width of the images it is handed. Default `size`.
    input: Option<usize>,
    /// Height and width that these are resized to before the middle is cut out. Default `size`: nothing is cut off.
    resize: Option<usize>,
    /// `bilinear` (default) or `bicubic`, both with antialiasing.
    #[serde(default)]
    interpolation: Interpolation,
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
    /// Height and width of the network's images.
    pub(crate) size: usize,
    /// Height and width of the images that come in.
    pub(crate) input: usize,
    pub(crate) resize: usize,
    pub(crate) interpolation: Interpolation,
    /// One per channel.
    pub(crate) mean: Vec<f32>,
    pub(crate) std: Vec<f32>,
}

impl Config {
    /// Fails on unknown keys and wrong types, naming them.
    pub(crate) fn parse(config: &serde_json::Value) -> Result<Self> {
        if config.get("weights").is_none() {
            return Err(Error::new("it needs weights: name a file as `weights`, such as FILE.safetensors"));
        }
        serde_json::from_value(config.clone()).map_err(|error| Error::new(format!("`config`: {error}")))
    }
}

impl Settings {
    /// `entry` reads the checkpoint's metadata, `detect` its tensors, of the network of this name if that is known. Fails naming
    /// what none of the three says, or one says wrongly.
    pub(crate) fn new(
        config: &Config,
        entry: &dyn Fn(&str) -> Option<String>,
        detect: &dyn Fn(Option<&str>) -> Result<Detected>,
    ) -> Result<Self> {
        let named = config.network.clone().or_else(|| entry("network"));
        let told = LazyCell::new(|| detect(named.as_deref()));
        let told = || told.as_ref().map_err(|error| Error::new(error.to_string()));
        let network = match named.clone() {
            Some(network) => network,
            None => told()?.network.to_owned(),
        };
        if network == "dit" {
            return Err(Error::new(
                "it is a generator: name it as `generator.weights`, and a classifier's weights here",
            ));
        }
        classifier::require(&network)
            .map_err(|error| Error::new(format!("{error}; any other can be a teacher as an ONNX file")))?;
        let channels = number(config.channels, "channels", entry, &|| Some(told().ok()?.channels))?;
        let classes = number(config.classes, "classes", entry, &|| Some(told().ok()?.classes))?;
        let size = number(config.size, "size", entry, &|| Some(told().ok()?.size))?;
        let mean = per_channel(&config.mean, "mean", channels, entry)?;
        let std = per_channel(&config.std, "std", channels, entry)?;
        if let Some(bad) = mean.iter().find(|&&mean| mean > 1.0) {
            return Err(Error::new(format!(
                "`mean` has {bad}, the brightest pixel is 1: divide `mean` and `std` by 255 if they are of bytes"
            )));
        }
        if let Some(bad) = std.iter().find(|&&std| std <= 0.0) {
            return Err(Error::new(format!("`std` has {bad}, it must be positive")));
        }
        let (input, resize) = (config.input.unwrap_or(size), config.resize.unwrap_or(size));
        if resize < size || input == 0 {
            return Err(Error::new(format!(
                "`resize` is {resize} and `input` {input}: the network needs {size} pixels"
            )));
        }
        let interpolation = config.interpolation;
        Ok(Self { network, classes, channels, size, input, resize, interpolation, mean, std })
    }

    /// Whether images are resized or cut before they are normalised.
    pub(crate) fn resizes(&self) -> bool {
        (self.input, self.resize) != (self.size, self.size)
    }

    /// From images `[n, channels, input, input]` of values 0 to 1 to what the network takes, `[n, channels, size, size]`:
    /// resized, the middle cut out, `(x - mean) / std` per channel. [`super::prepare::Prepare`] does the same elsewhere.
    pub(crate) fn prepare(&self, images: &[f32]) -> Vec<f32> {
        if !self.resizes() {
            return self.normalise(images);
        }
        let resized = (self.resize, self.resize);
        let images = preprocess::resize(images, (self.input, self.input), resized, self.interpolation);
        self.normalise(&preprocess::centre_crop(&images, resized, self.size))
    }

    fn normalise(&self, images: &[f32]) -> Vec<f32> {
        let mut normalised = Vec::with_capacity(images.len());
        let channels = self.mean.iter().zip(&self.std).cycle();
        for (plane, (mean, std)) in images.chunks_exact(self.size * self.size).zip(channels) {
            normalised.extend(plane.iter().map(|value| (value - mean) / std));
        }
        normalised
    }
}

fn number(
    config: Option<usize>,
    key: &str,
    entry: &dyn Fn(&str) -> Option<String>,
    detected: &dyn Fn() -> Option<usize>,
) -> Result<usize> {
    let number = match (config, entry(key)) {
        (Some(number), _) => number,
        (None, Some(text)) => {
            text.parse().map_err(|_| Error::new(format!("its metadata has `{key}` = `{text}`, not a whole number")))?
        }
        (None, None) => detected().ok_or_else(|| {
            Error::new(format!("neither its metadata nor its tensors tell `{key}`: set the `config` key `{key}`"))
        })?,
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
        (None, None) => {
            let usual = if key == "mean" { "[0.485, 0.456, 0.406]" } else { "[0.229, 0.224, 0.225]" };
            return Err(Error::new(format!(
                "it has no `{key}` of the training images: set the `config` key `{key}`; torchvision's networks were \
                 trained with {usual}"
            )));
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(key: &str) -> Option<String> {
        let entries = [("network", "mlp"), ("classes", "10"), ("channels", "2"), ("size", "1"), ("mean", "0.5")];
        entries.iter().find(|entry| entry.0 == key).map(|entry| entry.1.to_owned())
    }

    fn settings(config: serde_json::Value) -> Result<Settings> {
        Settings::new(&Config::parse(&config)?, &stored, &|_| panic!("the metadata says it all"))
    }

    /// Of a file of PyTorch's, which has no metadata.
    fn bare(config: serde_json::Value, detect: &dyn Fn(Option<&str>) -> Result<Detected>) -> Result<Settings> {
        Settings::new(&Config::parse(&config)?, &|_| None, detect)
    }

    #[test]
    fn tensors_tell_what_nobody_else_does() {
        let detect = |_: Option<&str>| Ok(Detected { network: "resnet18", classes: 1000, channels: 3, size: 224 });
        let found = bare(json!({"weights": "w", "mean": 0.5, "std": 0.5, "size": 64}), &detect).unwrap();
        assert_eq!((found.network.as_str(), found.classes, found.channels, found.size), ("resnet18", 1000, 3, 64));
        let message = bare(json!({"weights": "w"}), &detect).unwrap_err().to_string();
        assert!(message.contains("torchvision's networks were trained with [0.485, 0.456, 0.406]"), "{message}");
        let unknown = |_: Option<&str>| Err(Error::new("the names don't tell"));
        let message = bare(json!({"weights": "w"}), &unknown).unwrap_err().to_string();
        assert!(message.contains("the names don't tell"), "{message}");
        let message = bare(json!({"weights": "w", "architecture": "mlp"}), &unknown).unwrap_err().to_string();
        assert!(message.contains("nor its tensors tell `channels`: set the `config` key `channels`"), "{message}");
    }

    #[test]
    fn images_are_resized_and_cut_before_they_are_normalised() {
        let detect = |_: Option<&str>| Ok(Detected { network: "resnet18", classes: 10, channels: 1, size: 2 });
        let config = json!({"weights": "w", "mean": 0.5, "std": 0.5, "input": 8, "resize": 4});
        let found = bare(config, &detect).unwrap();
        // The middle of a picture that is white on the right.
        let images: Vec<f32> = (0..64).map(|i| if i % 8 < 4 { 0.0 } else { 1.0 }).collect();
        let prepared = found.prepare(&images);
        assert_eq!(prepared.len(), 4);
        assert!(prepared[0] < -0.5 && prepared[1] > 0.5 && prepared[0] == prepared[2], "{prepared:?}");
        let message = bare(json!({"weights": "w", "mean": 0, "std": 1, "resize": 1}), &detect).unwrap_err().to_string();
        assert!(message.contains("`resize` is 1"), "{message}");
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
        refused(json!({"weights": "w"}), "no `std` of the training images: set the `config` key `std`");
        refused(
            json!({"weights": "w", "std": 1.0, "mean": [0.5, 123.7]}),
            "`mean` has 123.7, the brightest pixel is 1: divide",
        );
        refused(json!({"weights": "w", "network": "ResNet-18"}), "did you mean `resnet18`?");
        refused(json!({"weights": "w", "network": "densenet121"}), "any other can be a teacher as an ONNX file");
        refused(json!({"weights": "w", "std": [1.0]}), "needs 2 finite numbers");
        refused(json!({"weights": "w", "std": 0.0}), "must be positive");
        refused(json!({"weights": "w", "std": 1.0, "size": 0}), "`size` is 0");
        refused(json!({"weights": "w", "sdt": 1.0}), "unknown field `sdt`");
    }
}
