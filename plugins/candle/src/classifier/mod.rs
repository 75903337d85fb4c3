//! Teachers whose networks Limbeck has itself, run by candle. The network's name, its sizes and its normalisation come
//! from the checkpoint that `limbeck train classifier` wrote; the recipe's `config` table can replace each of them. Of other
//! checkpoints, PyTorch's among them, the tensors tell the network and its sizes, and the recipe the normalisation.

mod settings;

use candle_core::{DType, Device, Tensor, Var};
use limbeck_backend::{
    Backend, Classifier, Description, Differentiable, Error, Exec, Host, Input, InputSize, Level, Manifest, Output,
    Result,
};
use limbeck_models::classifier::{self, Mode, Network};
use limbeck_models::{Params, weights};

use self::settings::{Config, Settings};
use crate::{shown, threads};

/// One network with its weights.
pub struct CandleClassifier {
    network: Box<dyn Network>,
    settings: Settings,
    features: usize,
    /// Its own threads, so that the host's budget holds whatever candle's defaults are.
    pool: rayon::ThreadPool,
}

impl Backend for CandleClassifier {
    fn manifest() -> Manifest {
        Manifest {
            licence: env!("CARGO_PKG_LICENSE").into(),
            operations: vec!["classify".into(), "vjp".into()],
            ..Manifest::new("candle-classifier", env!("CARGO_PKG_VERSION"))
        }
    }

    fn create(host: &Host, config: &serde_json::Value) -> Result<Self> {
        let config = Config::parse(config)?;
        let stored = weights::load(&config.weights).map_err(shown)?;
        let named = |error: Error| Error::new(format!("`{}`: {error}", config.weights.display()));
        let detect = || classifier::detect(&stored.tensors).map_err(shown);
        let settings = Settings::new(&config, &|key| stored.entry(key), &detect).map_err(named)?;
        let params = Params::frozen(stored.tensors, DType::F32, &Device::Cpu);
        let Settings { network, classes, channels, size, .. } = &settings;
        let network = classifier::build(network, *classes, *channels, *size, &params);
        let network = network.map_err(|error| named(shown(error)))?;
        let unused: Vec<_> =
            params.unused().into_iter().filter(|name| !name.ends_with("num_batches_tracked")).take(8).collect();
        if !unused.is_empty() {
            let message =
                format!("{} has no use for tensors of its checkpoint: {}", settings.network, unused.join(", "));
            host.log(Level::Warn, &message);
        }
        let pool = threads("teacher", host)?;
        let features = pool.install(|| feature_width(network.as_ref(), &settings)).map_err(named)?;
        host.log(Level::Info, &format!("{} from `{}`", settings.network, config.weights.display()));
        Ok(Self { network, settings, features, pool })
    }

    fn describe(&self) -> Description {
        let Settings { network, classes, channels, input, .. } = &self.settings;
        Description {
            classes: *classes,
            input: InputSize { channels: *channels, height: *input, width: *input },
            features: Some(self.features),
            variance: false,
            network: Some(network.clone()),
        }
    }

    fn classifier(&self) -> Option<&dyn Classifier> {
        Some(self)
    }

    fn differentiable(&self) -> Option<&dyn Differentiable> {
        Some(self)
    }
}

impl Classifier for CandleClassifier {
    fn classify(
        &self,
        _exec: &Exec,
        images: &Input<'_>,
        logits: &mut Output<'_>,
        features: Option<&mut Output<'_>>,
    ) -> Result<()> {
        // Candle owns its memory, so the images must be copied once: preparing them is that copy.
        let Settings { channels, size, .. } = self.settings;
        let (pixels, shape) = (images.f32s()?, (images.shape()[0], channels, size, size));
        let found = self.pool.install(|| {
            let images = Tensor::from_vec(self.settings.prepare(pixels), shape, &Device::Cpu)?;
            self.network.forward(&images, Mode::Evaluation)
        });
        let found = found.map_err(shown)?;
        logits.copy_from(&values(&found.logits)?)?;
        match features {
            Some(features) => features.copy_from(&values(&found.features)?),
            None => Ok(()),
        }
    }
}

impl Differentiable for CandleClassifier {
    fn vjp(&self, _exec: &Exec, images: &Input<'_>, d_logits: &Input<'_>, d_images: &mut Output<'_>) -> Result<()> {
        if self.settings.resizes() {
            return Err(Error::new("there are no image gradients through a resize: leave out `input` and `resize`"));
        }
        let (normalised, shape) = (self.settings.prepare(images.f32s()?), images.shape().to_vec());
        let direction = d_logits.f32s()?;
        let gradient = self.pool.install(|| {
            let images = Var::from_vec(normalised, shape, &Device::Cpu)?;
            let logits = self.network.forward(&images, Mode::Evaluation)?.logits;
            let direction = Tensor::from_slice(direction, logits.shape(), &Device::Cpu)?;
            let gradients = (logits * direction)?.sum_all()?.backward()?;
            // A network that ignores its images has no gradient for them.
            let gradient = gradients.get(&images).map_or_else(|| images.zeros_like(), |found| Ok(found.clone()))?;
            limbeck_models::Result::Ok(gradient.flatten_all()?.to_vec1::<f32>()?)
        });
        let mut gradient = gradient.map_err(shown)?;
        self.settings.through_normalisation(&mut gradient);
        d_images.copy_from(&gradient)
    }
}

/// The width of the features, learnt from one black image: no network then has to state it twice.
fn feature_width(network: &dyn Network, settings: &Settings) -> Result<usize> {
    let Settings { classes, channels, size, .. } = *settings;
    let black = Tensor::zeros((1, channels, size, size), DType::F32, &Device::Cpu).map_err(shown)?;
    let found = network.forward(&black, Mode::Evaluation).map_err(shown)?;
    match (found.logits.dims(), found.features.dims()) {
        (&[1, columns], &[1, width]) if columns == classes => Ok(width),
        (logits, features) => Err(Error::new(format!(
            "{} gives logits {logits:?} and features {features:?} for one image of {classes} classes",
            settings.network
        ))),
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(shown)
}
