//! Teachers whose networks Limbeck has itself, run by candle. The network's name, its sizes and its normalisation come
//! from the checkpoint that `limbeck train classifier` wrote; the recipe's `config` table can replace each of them. Of other
//! checkpoints, PyTorch's among them, the tensors tell the network and its sizes, and the recipe the normalisation.

mod prepare;
mod settings;

use candle_core::{DType, Device, Tensor, Var};
use limbeck_backend::{
    Backend, Classifier, Description, Differentiable, Error, Exec, Host, Input, InputSize, Level, Manifest, Output,
    Result,
};
use limbeck_models::classifier::{self, Mode, Network};
use limbeck_models::{Params, weights};

use self::prepare::Prepare;
use self::settings::{Config, Settings};
use crate::place::{self, Place, Turn};
use crate::shown;

/// As many values of prepared images `vjp` takes at once, 16 images of 3 × 256 × 256: each layer's output is kept until
/// the gradient comes back to it, and on two cores more at once is no faster.
const PIECE: usize = 16 * 3 * 256 * 256;

/// One network with its weights.
pub struct CandleClassifier {
    network: Box<dyn Network>,
    settings: Settings,
    prepare: Prepare,
    features: usize,
    place: Place,
}

impl Backend for CandleClassifier {
    fn manifest() -> Manifest {
        Manifest {
            licence: env!("CARGO_PKG_LICENSE").into(),
            operations: vec!["classify".into(), "vjp".into()],
            devices: place::devices(),
            ..Manifest::new("candle-classifier", env!("CARGO_PKG_VERSION"))
        }
    }

    fn create(host: &Host, config: &serde_json::Value) -> Result<Self> {
        let config = Config::parse(config)?;
        let stored = weights::load(&config.weights).map_err(shown)?;
        let named = |error: Error| Error::new(format!("`{}`: {error}", config.weights.display()));
        let detect = |network: Option<&str>| match network {
            None => classifier::detect(&stored.tensors).map_err(shown),
            Some(name) => classifier::detect_sizes(name, &stored.tensors).ok_or_else(|| "they don't tell".into()),
        };
        let settings = Settings::new(&config, &|key| stored.entry(key), &detect).map_err(named)?;
        let place = Place::new(host, "teacher")?;
        let params = Params::frozen(stored.tensors, DType::F32, place.device());
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
        let features = place.work(|| feature_width(network.as_ref(), &settings, place.device())).map_err(named)?;
        let prepare = Prepare::new(&settings, place.device()).map_err(shown)?;
        host.log(Level::Info, &format!("{} from `{}`", settings.network, config.weights.display()));
        Ok(Self { network, settings, prepare, features, place })
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

impl CandleClassifier {
    /// What the network takes, of what the host lends. On the CPU preparing it is the copy into candle's memory.
    fn prepared(&self, turn: &Turn<'_>, images: &Input<'_>) -> Result<Tensor> {
        let prepared = match self.place.device() {
            Device::Cpu => {
                let Settings { channels, size, .. } = self.settings;
                let shape = (images.shape()[0], channels, size, size);
                Tensor::from_vec(self.settings.prepare(images.f32s()?), shape, &Device::Cpu)
            }
            _ => self.prepare.run(&turn.read(images)?),
        };
        prepared.map_err(shown)
    }

    /// The gradient of `⟨logits, direction⟩` for prepared images.
    fn gradient(&self, prepared: &Tensor, direction: &Tensor) -> limbeck_models::Result<Tensor> {
        let prepared = Var::from_tensor(prepared)?;
        let logits = self.network.forward(&prepared, Mode::Evaluation)?.logits;
        let gradients = (logits * direction)?.sum_all()?.backward()?;
        // A network that ignores its images has no gradient for them.
        Ok(gradients.get(&prepared).map_or_else(|| prepared.zeros_like(), |found| Ok(found.clone()))?)
    }
}

impl Classifier for CandleClassifier {
    fn classify(
        &self,
        exec: &Exec,
        images: &Input<'_>,
        logits: &mut Output<'_>,
        features: Option<&mut Output<'_>>,
    ) -> Result<()> {
        let turn = self.place.begin(exec)?;
        let images = self.prepared(&turn, images)?;
        let found = self.place.work(|| self.network.forward(&images, Mode::Evaluation)).map_err(shown)?;
        turn.write(&found.logits, logits)?;
        features.map_or(Ok(()), |features| turn.write(&found.features, features))
    }
}

impl Differentiable for CandleClassifier {
    fn vjp(&self, exec: &Exec, images: &Input<'_>, d_logits: &Input<'_>, d_images: &mut Output<'_>) -> Result<()> {
        let turn = self.place.begin(exec)?;
        let (prepared, direction) = (self.prepared(&turn, images)?, turn.read(d_logits)?);
        let images = turn.read(images)?;
        let Settings { channels, size, .. } = self.settings;
        let step = (PIECE / (channels * size * size)).max(1);
        let gradient = self.place.work(|| {
            let starts = (0..prepared.dim(0)?).step_by(step);
            let pieces = starts.map(|start| {
                let piece = |of: &Tensor| of.narrow(0, start, step.min(of.dim(0)? - start));
                let gradient = self.gradient(&piece(&prepared)?, &piece(&direction)?)?;
                limbeck_models::Result::Ok(self.prepare.back(&piece(&images)?, &gradient)?)
            });
            limbeck_models::Result::Ok(Tensor::cat(&pieces.collect::<limbeck_models::Result<Vec<_>>>()?, 0)?)
        });
        turn.write(&gradient.map_err(shown)?, d_images)
    }
}

/// The width of the features, learnt from one black image: no network then has to state it twice.
fn feature_width(network: &dyn Network, settings: &Settings, device: &Device) -> Result<usize> {
    let Settings { classes, channels, size, .. } = *settings;
    let black = Tensor::zeros((1, channels, size, size), DType::F32, device).map_err(shown)?;
    let found = network.forward(&black, Mode::Evaluation).map_err(shown)?;
    match (found.logits.dims(), found.features.dims()) {
        (&[1, columns], &[1, width]) if columns == classes => Ok(width),
        (logits, features) => Err(Error::new(format!(
            "{} gives logits {logits:?} and features {features:?} for one image of {classes} classes",
            settings.network
        ))),
    }
}
