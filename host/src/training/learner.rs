//! A network with its optimiser: one step at a time, saved and taken up again at any of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use limbeck_models::checkpoint::{self, Checkpoint, under};
use limbeck_models::classifier::{self, Mode, Network, Noise, Output};
use limbeck_models::optim::{Settings, Updater};
use limbeck_models::{Params, finite, weights};

use super::normal::{self, Normal};
use super::resume::Resume;
use crate::hash::read_as_planned;
use crate::plan::Input;
use crate::seed::{Purpose, rng};
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
    /// Weights to begin with, of exactly this network; `None` draws them.
    pub start: Option<Start>,
}

/// A file of weights to begin with.
#[derive(Clone, Debug)]
pub struct Start {
    pub path: PathBuf,
    /// That of its content, where the plan has it.
    pub sha256: Option<String>,
}

impl Start {
    /// The file at `path`, which the plan has among its inputs under `key`.
    pub fn planned(path: Option<&PathBuf>, inputs: &BTreeMap<String, Input>, key: &str) -> Option<Self> {
        let sha256 = inputs.get(key).map(|input| input.sha256.clone());
        path.map(|path| Self { path: path.clone(), sha256 })
    }

    /// Fails where the file is no longer that of the plan.
    pub fn read(&self) -> Result<Checkpoint> {
        let bytes = match &self.sha256 {
            Some(sha256) => read_as_planned(&self.path, sha256)?,
            None => fs_err::read(&self.path)?,
        };
        Ok(weights::parse(&bytes, &self.path.display().to_string())?)
    }
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
    /// A network fresh from `seed` or from the weights that `spec` names, or as it was at the resume point `saved`.
    pub fn start(spec: Spec, seed: u64, settings: Settings, saved: Option<&Resume>, device: &Device) -> Result<Self> {
        Ok(Self::start_with(spec, seed, settings, saved, device, |_, _| Ok(()))?.0)
    }

    /// The same, and what `beside` makes of the number of the network's features and of a place for parameters that are
    /// learnt along with the network but are no part of it.
    pub fn start_with<T>(
        spec: Spec,
        seed: u64,
        settings: Settings,
        saved: Option<&Resume>,
        device: &Device,
        beside: impl FnOnce(usize, &Params) -> Result<T>,
    ) -> Result<(Self, T)> {
        let params = match (saved, &spec.start) {
            (Some(saved), _) => Params::resume(under(&saved.file.tensors, PARAMETERS), device),
            (None, Some(start)) => Params::resume(start.read()?.tensors, device),
            (None, None) => Params::from_seed(seed, device),
        };
        let blame = |why: Error| match saved {
            Some(saved) => saved.unusable(why),
            None => why,
        };
        let network = classifier::build(&spec.network, spec.classes, spec.channels, spec.size, &params);
        let network = match (saved, &spec.start) {
            (None, Some(start)) => {
                let network = network.context(start.path.display())?;
                uses_all(&spec.network, &params).context(start.path.display())?;
                network
            }
            _ => network.map_err(|why| blame(why.into()))?,
        };
        let blank = Tensor::zeros((1, spec.channels, spec.size, spec.size), DType::F32, device)?;
        let width = network.forward(&blank, Mode::Evaluation)?.features.dim(1)?;
        let beside = beside(width, &beside_of(saved, seed, &params)).map_err(blame)?;
        let mut updater = Updater::new(settings, params.parameters(), params.buffers())?;
        if let Some(saved) = saved {
            updater.restore(&under(&saved.file.tensors, OPTIMIZER)).map_err(|why| blame(why.into()))?;
        }
        Ok((Self { spec, params, network, updater, device: device.clone() }, beside))
    }

    /// The network on images f32 `[n, channels, size, size]` in `[0, 1]`.
    pub fn forward(&self, images: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let images = self.spec.normal.apply(&images.to_device(&self.device)?)?;
        Ok(self.network.forward(&images, mode)?)
    }

    /// The same in training: what step `step` of this seed drops follows from the two alone.
    pub fn train(&self, images: &Tensor, seed: u64, step: u64) -> Result<Output> {
        self.forward(images, Mode::Training(&Noise::new(rng(seed, Purpose::Dropout, step))))
    }

    /// Follows the gradient of `loss`, a scalar, at the rate `lr`. Returns the loss; fails when it is not finite.
    pub fn learn(&mut self, loss: &Tensor, lr: f64) -> Result<f64> {
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(Error::diverged(format!("the loss is {value}")));
        }
        self.updater.step(loss.backward()?, lr)?;
        Ok(value)
    }

    /// The network to judge, from images as [`Learner::forward`] takes them to logits: with the moving averages of parameters
    /// and running statistics where there are any.
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
            Ok(averaged.as_ref().unwrap_or(&self.network).forward(&images, Mode::Evaluation)?.logits)
        })
    }

    /// What is kept of the network in the end, by name.
    fn finished(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = self.params.state();
        tensors.extend(self.updater.averages().unwrap_or_default());
        tensors.retain(|name, _| name.split('.').next() != Some(BESIDE));
        tensors
    }

    /// The resume point: parameters, running statistics and the optimiser's state, by name. Fails where one is not finite.
    pub fn save(&self) -> Result<BTreeMap<String, Tensor>> {
        let parts = [(PARAMETERS, self.params.state()), (OPTIMIZER, self.updater.state()?)];
        let prefixed = |(prefix, part): (&'static str, BTreeMap<String, Tensor>)| {
            part.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        };
        let tensors = parts.into_iter().flat_map(prefixed).collect();
        require_finite(&tensors)?;
        Ok(tensors)
    }

    /// The finished network as the bytes of a safetensors file that says how to build it again. Fails where a weight is not
    /// finite.
    pub fn export(&self) -> Result<Vec<u8>> {
        let Spec { network, classes, channels, size, normal, .. } = &self.spec;
        let entries = [
            ("network", network.clone()),
            ("classes", classes.to_string()),
            ("channels", channels.to_string()),
            ("size", size.to_string()),
            ("mean", normal::to_json(&normal.mean)),
            ("std", normal::to_json(&normal.std)),
        ];
        let metadata = entries.map(|(key, value)| (key.to_owned(), value)).into();
        let tensors = self.finished();
        require_finite(&tensors)?;
        Ok(checkpoint::to_bytes(&tensors, &metadata)?)
    }
}

/// The place for what is learnt along with a network: in a resume point, or fresh.
fn beside_of(saved: Option<&Resume>, seed: u64, params: &Params) -> Params {
    match saved {
        Some(_) => params.at(BESIDE),
        None => params.fresh(seed).at(BESIDE),
    }
}

/// Fails if the file that `params` come from holds more than the network needs: it is of another one.
fn uses_all(network: &str, params: &Params) -> Result<()> {
    let unused = params.unused();
    // PyTorch counts batches in a tensor that no network here needs.
    match unused.iter().find(|name| !name.ends_with("num_batches_tracked")) {
        None => Ok(()),
        Some(name) => {
            Err(Error::input(format!("`{network}` has no tensor `{name}`: the weights are of another network")))
        }
    }
}

/// Fails on weights that are not finite, which nobody could go on from: a ReLU behind them may have hidden it so far.
pub fn require_finite(tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    match finite::first_in(tensors)? {
        None => Ok(()),
        Some((name, value)) => Err(Error::diverged(format!("there is {value} in `{name}`"))),
    }
}

#[cfg(test)]
mod tests {
    use limbeck_models::optim::Rule;

    use super::*;

    fn start(network: &str, classes: usize, seed: u64, start: Option<PathBuf>) -> Result<Learner> {
        let start = start.map(|path| Start { path, sha256: None });
        let normal = Normal { mean: vec![0.5], std: vec![0.5] };
        let spec = Spec { network: network.into(), classes, channels: 1, size: 8, normal, start };
        let rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let settings = Settings { rule, clip_norm: None, accumulate: 1, ema: None };
        Learner::start(spec, seed, settings, None, &Device::Cpu)
    }

    /// By hand from the running statistics of every step.
    #[test]
    fn averages_have_the_running_statistics_of_their_weights() {
        let normal = Normal { mean: vec![0.5], std: vec![0.5] };
        let spec = Spec { network: "resnet8".into(), classes: 3, channels: 1, size: 8, normal, start: None };
        let rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let settings = Settings { rule, clip_norm: None, accumulate: 1, ema: Some(0.5) };
        let mut learner = Learner::start(spec, 1, settings, None, &Device::Cpu).unwrap();
        let running = |learner: &Learner| learner.params.state()["bn1.running_var"].to_vec1::<f32>().unwrap();
        let mut expected = running(&learner);
        for step in 0..3 {
            let images = Tensor::arange(0.0, 128.0, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
            let images = images.affine(1.0 / 128.0, 0.0).unwrap().reshape((2, 1, 8, 8)).unwrap();
            let loss = learner.train(&images, 1, step).unwrap().logits.sqr().unwrap().mean_all().unwrap();
            learner.learn(&loss, 0.1).unwrap();
            expected.iter_mut().zip(running(&learner)).for_each(|(mean, value)| *mean = 0.5 * *mean + 0.5 * value);
        }
        let found = learner.finished()["bn1.running_var"].to_vec1::<f32>().unwrap();
        assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-6), "{found:?}, {expected:?}");
        assert_ne!(found, running(&learner));
    }

    #[test]
    fn weights_that_are_not_finite_are_neither_kept_nor_finished() {
        let mut learner = start("mlp", 3, 1, None).unwrap();
        learner.save().unwrap();
        let image = Tensor::ones((1, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
        let loss = learner.train(&image, 1, 0).unwrap().logits.sqr().unwrap().mean_all().unwrap();
        learner.learn(&loss, f64::INFINITY).unwrap();
        for refused in [learner.export().map(drop), learner.save().map(drop)] {
            let message = refused.unwrap_err().to_string();
            assert!(message.starts_with("there is ") && message.contains("in `"), "{message}");
            assert!(message.contains("the training diverged: lower `optimizer.lr`"), "{message}");
        }
    }

    #[test]
    fn a_training_starts_from_the_weights_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        std::fs::write(&path, start("resnet8", 3, 1, None).unwrap().export().unwrap()).unwrap();
        let image = Tensor::ones((1, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
        let logits =
            |learner: &Learner| learner.forward(&image, Mode::Evaluation).unwrap().logits.to_vec2::<f32>().unwrap();
        let first = logits(&start("resnet8", 3, 1, None).unwrap());
        assert_eq!(logits(&start("resnet8", 3, 2, Some(path.clone())).unwrap()), first);
        assert_ne!(logits(&start("resnet8", 3, 2, None).unwrap()), first);
        for (network, classes, part) in [
            ("resnet14", 3, "the checkpoint has no tensor `layer1.1.conv1.weight`"),
            ("resnet8", 4, "`fc.weight` has shape [3, 64], the network needs [4, 64]"),
            ("mlp", 3, "has no tensor `fc1.weight`"),
        ] {
            let error = start(network, classes, 2, Some(path.clone())).err().unwrap();
            assert!(error.to_string().contains("weights.safetensors: ") && error.to_string().contains(part), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        let larger = folder.path().join("larger.safetensors");
        std::fs::write(&larger, start("resnet14", 3, 1, None).unwrap().export().unwrap()).unwrap();
        let message = start("resnet8", 3, 2, Some(larger)).err().unwrap().to_string();
        assert!(message.contains("`resnet8` has no tensor `layer1.1."), "{message}");
    }
}
