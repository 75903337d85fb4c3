//! A finished student, read back: its checkpoint says how to build it again.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use limbeck_models::classifier::{self, Mode, Network, Output};
use limbeck_models::{Params, checkpoint};

use crate::{Error, Result};

/// A trained student, rebuilt from its checkpoint alone.
pub struct Student {
    /// The network's name.
    pub name: String,
    classes: usize,
    network: Box<dyn Network>,
    /// f32 `[1, channels, 1, 1]`, of the training images.
    mean: Tensor,
    /// Likewise.
    std: Tensor,
    /// Channels, height and width of the images it takes.
    shape: [usize; 3],
    device: Device,
}

impl Student {
    /// Reads the student `network` that a run trained. Fails with the file and the remedy on a damaged or another one.
    pub fn of_run(path: &Path, network: &str, device: &Device) -> Result<Self> {
        let shown = path.display();
        let checked = Self::load(path, device).and_then(|student| match student.name == network {
            true => Ok(student),
            false => Err(Error::input(format!("it is a `{}`, this run trains a `{network}`", student.name))),
        });
        checked.map_err(|why| match why {
            Error::Input(why) => Error::input(format!(
                "`{shown}` is no student of this run: {why}: remove it, and `limbeck run` with its recipe trains it again"
            )),
            other => other.context(format_args!("`{shown}`")),
        })
    }

    /// Reads `student.safetensors`. Fails with [`Error::Input`] on a file that is none; who calls names the file.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let checkpoint = checkpoint::load(path).map_err(|error| Error::input(error.reason()))?;
        let entry = |key: &str| {
            checkpoint.entry(key).ok_or_else(|| {
                Error::input(format!("its metadata lacks `{key}`: it is not a checkpoint of `limbeck distill`"))
            })
        };
        let number = |key: &str| {
            let text = entry(key)?;
            text.parse::<usize>().map_err(|_| Error::input(format!("its `{key}` is `{text}`, not a number")))
        };
        let (name, classes, channels, size) =
            (entry("network")?, number("classes")?, number("channels")?, number("size")?);
        let mean = per_channel("mean", &entry("mean")?, channels, device)?;
        let std = per_channel("std", &entry("std")?, channels, device)?;
        let params = Params::frozen(checkpoint.tensors, DType::F32, device);
        let network = classifier::build(&name, classes, channels, size, &params)?;
        Ok(Self { name, classes, network, mean, std, shape: [channels, size, size], device: device.clone() })
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// From images f32 `[n, channels, height, width]` in `[0, 1]` to logits `[n, classes]` and the features before them.
    pub fn forward(&self, images: &Tensor) -> Result<Output> {
        if images.dims()[1..] != self.shape {
            return Err(Error::input(format!(
                "it takes images of {:?} (channels, height, width), these are {:?}",
                self.shape,
                &images.dims()[1..]
            )));
        }
        let normalised = images.to_device(&self.device)?.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?;
        Ok(self.network.forward(&normalised, Mode::Evaluation)?)
    }
}

/// One number for all channels, or a JSON list of one each, as a tensor `[1, channels, 1, 1]`.
fn per_channel(key: &str, text: &str, channels: usize, device: &Device) -> Result<Tensor> {
    let one = serde_json::from_str::<f32>(text).map(|value| vec![value; channels]);
    let values = one.or_else(|_| serde_json::from_str::<Vec<f32>>(text)).unwrap_or_default();
    let in_range = |value: &f32| value.is_finite() && (key != "std" || *value > 0.0);
    if values.len() != channels || !values.iter().all(in_range) {
        return Err(Error::input(format!("its `{key}` is `{text}`, not a number for each of {channels} channels")));
    }
    Ok(Tensor::from_vec(values, (1, channels, 1, 1), device)?)
}
