//! A network with its optimiser: one step at a time, saved and taken up again at any of them.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use limbeck_models::Params;
use limbeck_models::checkpoint::{self, Checkpoint};
use limbeck_models::classifier::{self, Network, Output};
use limbeck_models::optim::{Settings, Updater};

use super::normal::{self, Normal};
use crate::{Context as _, Error, Result};

/// Prefixes of the two kinds of tensors in a resume point.
const PARAMETERS: &str = "param.";
const OPTIMIZER: &str = "optim.";

/// Where the parameters are that are learnt along with a network; no network has this name.
const BESIDE: &str = "beside";

/// The network to train and the images it takes.
#[derive(Clone, Debug)]
pub struct Spec {
    pub network: String,
    pub classes: usize,
    pub channels: usize,
    /// Height and width in pixels.
    pub size: usize,
    pub normal: Normal,
}

/// A network in training.
pub struct Learner {
    spec: Spec,
    params: Params,
    network: Box<dyn Network>,
    updater: Updater,
    device: Device,
}

impl Learner {
    /// A network fresh from `seed`, or as it was at the resume point `saved`.
    pub fn start(
        spec: Spec,
        seed: u64,
        settings: Settings,
        saved: Option<&Checkpoint>,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self::start_with(spec, seed, settings, saved, device, |_, _| Ok(()))?.0)
    }

    /// The same, and what `beside` makes of the number of the network's features and of a place for parameters that are
    /// learnt along with the network but are no part of it.
    pub fn start_with<T>(
        spec: Spec,
        seed: u64,
        settings: Settings,
        saved: Option<&Checkpoint>,
        device: &Device,
        beside: impl FnOnce(usize, &Params) -> Result<T>,
    ) -> Result<(Self, T)> {
        let params = match saved {
            Some(file) => Params::resume(part(file, PARAMETERS), device),
            None => Params::from_seed(seed, device),
        };
        let network = classifier::build(&spec.network, spec.classes, spec.channels, spec.size, &params)?;
        let blank = Tensor::zeros((1, spec.channels, spec.size, spec.size), DType::F32, device)?;
        let beside = beside(network.forward(&blank, false)?.features.dim(1)?, &params.at(BESIDE))?;
        let mut updater = Updater::new(settings, params.parameters())?;
        if let Some(file) = saved {
            updater.restore(&part(file, OPTIMIZER))?;
        }
        Ok((Self { spec, params, network, updater, device: device.clone() }, beside))
    }

    /// The network on images f32 `[n, channels, size, size]` in `[0, 1]`.
    pub fn forward(&self, images: &Tensor, train: bool) -> Result<Output> {
        let images = self.spec.normal.apply(&images.to_device(&self.device)?)?;
        Ok(self.network.forward(&images, train)?)
    }

    /// Follows the gradient of `loss`, a scalar, at the rate `lr`. Returns the loss; fails when it is not finite.
    pub fn learn(&mut self, loss: &Tensor, lr: f64) -> Result<f64> {
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(Error::failed(format!("the loss is {value}: lower the learning rate")));
        }
        self.updater.step(loss.backward()?, lr)?;
        Ok(value)
    }

    /// The network to judge, from images as [`Learner::forward`] takes them to logits: with the moving averages of the
    /// parameters where there are any.
    pub fn judged(&self) -> Result<impl Fn(&Tensor) -> Result<Tensor> + use<'_>> {
        let Spec { network, classes, channels, size, .. } = &self.spec;
        let averaged = match self.updater.averages() {
            Some(_) => {
                let params = Params::frozen(self.finished(), DType::F32, &self.device);
                Some(classifier::build(network, *classes, *channels, *size, &params)?)
            }
            None => None,
        };
        Ok(move |images: &Tensor| {
            let images = self.spec.normal.apply(&images.to_device(&self.device)?)?;
            Ok(averaged.as_ref().unwrap_or(&self.network).forward(&images, false)?.logits)
        })
    }

    /// What is kept of the network in the end, by name.
    fn finished(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = self.params.state();
        tensors.extend(self.updater.averages().unwrap_or_default());
        tensors.retain(|name, _| name.split('.').next() != Some(BESIDE));
        tensors
    }

    /// The resume point: parameters, running statistics and the optimiser's state, by name.
    pub fn save(&self) -> Result<BTreeMap<String, Tensor>> {
        let parts = [(PARAMETERS, self.params.state()), (OPTIMIZER, self.updater.state()?)];
        let prefixed = |(prefix, part): (&'static str, BTreeMap<String, Tensor>)| {
            part.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        };
        Ok(parts.into_iter().flat_map(prefixed).collect())
    }

    /// The finished network as the bytes of a safetensors file that says how to build it again.
    pub fn export(&self) -> Result<Vec<u8>> {
        let Spec { network, classes, channels, size, normal } = &self.spec;
        let entries = [
            ("network", network.clone()),
            ("classes", classes.to_string()),
            ("channels", channels.to_string()),
            ("size", size.to_string()),
            ("mean", normal::to_json(&normal.mean)),
            ("std", normal::to_json(&normal.std)),
        ];
        let metadata = entries.map(|(key, value)| (key.to_owned(), value)).into();
        Ok(checkpoint::to_bytes(&self.finished(), &metadata)?)
    }
}

/// The tensors of a file whose names start with `prefix`, without it.
fn part(file: &Checkpoint, prefix: &str) -> BTreeMap<String, Tensor> {
    let strip = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()));
    file.tensors.iter().filter_map(strip).collect()
}

/// A whole number that [`Learner::save`]'s caller put into the metadata.
pub fn number(file: &Checkpoint, key: &str) -> Result<u64> {
    let missing = || Error::failed(format!("the resume point has no number `{key}`: delete it to start again"));
    file.entry(key).and_then(|text| text.parse().ok()).ok_or_else(missing)
}

/// The resume point at `path`, if there is one.
pub fn saved(path: &std::path::Path) -> Result<Option<Checkpoint>> {
    if !path.exists() {
        return Ok(None);
    }
    checkpoint::load(path).map(Some).context("can't resume")
}
