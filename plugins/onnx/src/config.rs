//! The recipe's `[teacher] config` for this plugin.

use std::path::PathBuf;

use limbeck_backend::{Error, Result};
use serde::Deserialize;

/// What the recipe says, with `weights` from `[teacher]` itself.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// The ONNX file, with all its weights in it.
    pub(crate) weights: PathBuf,
    /// ONNX Runtime's shared library, or the folder of the Python package. Default: `ORT_DYLIB_PATH`, then the usual places.
    pub(crate) runtime: Option<PathBuf>,
    /// `cpu` or `cuda`. Default `cpu`.
    #[serde(default)]
    pub(crate) provider: Provider,
    /// The number of the GPU. Default 0.
    #[serde(default)]
    pub(crate) cuda_device: u32,
    /// `nchw` or `nhwc`: how the model wants its images. Default `nchw`.
    pub(crate) layout: Option<Layout>,
    /// Of the training images, in the units of `pixel-max`: one number, or one per channel. Required.
    pub(crate) mean: Option<PerChannel>,
    /// As `mean`. Required.
    pub(crate) std: Option<PerChannel>,
    /// What the brightest pixel is to the model before `mean` and `std`: 1 or 255, as a rule. Default 1.
    #[serde(default = "one")]
    pub(crate) pixel_max: f32,
    /// Needed where the model leaves it open.
    pub(crate) channels: Option<usize>,
    /// Height and width in pixels; one number for both. Needed where the model leaves them open.
    pub(crate) size: Option<Size>,
    /// Checked against the model. Default: what the model has.
    pub(crate) classes: Option<usize>,
    /// The name of the output with the logits. Needed where there are several outputs.
    pub(crate) logits: Option<String>,
    /// The name of the output with the penultimate features. Default: none.
    pub(crate) features: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Provider {
    #[default]
    Cpu,
    Cuda,
}

/// The order of an image's axes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// Channels, height, width.
    Nchw,
    /// Height, width, channels.
    Nhwc,
}

/// One number for all channels, or one for each.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(crate) enum PerChannel {
    All(f32),
    Each(Vec<f32>),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Size {
    Square(usize),
    HeightWidth([usize; 2]),
}

fn one() -> f32 {
    1.0
}

impl Config {
    /// Fails on unknown keys and wrong types, naming them.
    pub(crate) fn parse(config: &serde_json::Value) -> Result<Self> {
        if config.get("weights").is_none() {
            return Err(Error::new("it needs a model: name a file as `weights`, such as FILE.onnx"));
        }
        let parsed: Self =
            serde_json::from_value(config.clone()).map_err(|error| Error::new(format!("`config`: {error}")))?;
        if !parsed.pixel_max.is_finite() || parsed.pixel_max <= 0.0 {
            return Err(Error::new(format!("`pixel-max` is {}, must be more than 0", parsed.pixel_max)));
        }
        let sizes = parsed.size().into_iter().flatten().chain(parsed.channels).chain(parsed.classes);
        if sizes.into_iter().any(|number| !(1..=1 << 20).contains(&number)) {
            return Err(Error::new("`channels`, `size` and `classes` must be at least 1 and at most 1048576"));
        }
        Ok(parsed)
    }

    /// Height and width.
    pub(crate) fn size(&self) -> Option<[usize; 2]> {
        self.size.map(|size| match size {
            Size::Square(side) => [side; 2],
            Size::HeightWidth(sides) => sides,
        })
    }
}

impl PerChannel {
    /// One finite number for each channel.
    pub(crate) fn each(found: Option<&Self>, key: &str, channels: usize) -> Result<Vec<f32>> {
        let numbers = match found {
            Some(Self::All(number)) => vec![*number; channels],
            Some(Self::Each(numbers)) => numbers.clone(),
            None => {
                return Err(Error::new(
                    "set the `config` keys `mean` and `std` to those of the training images, or to 0.0 and 1.0 where the \
                     model normalises by itself",
                ));
            }
        };
        if numbers.len() != channels || numbers.iter().any(|number| !number.is_finite()) {
            return Err(Error::new(format!(
                "`{key}` is {numbers:?}, it needs {channels} finite numbers, one per channel"
            )));
        }
        Ok(numbers)
    }
}
