//! A class-conditional diffusion transformer, run by candle: the denoiser that `limbeck train generator` trains, behind the
//! plugin ABI.

use candle_core::{DType, Tensor};
use limbeck_backend::{
    Backend, Condition, Denoiser, Description, Error, Exec, Host, InputSize, Level, Manifest, Noisy, Output, Result,
};
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::{Params, checkpoint};
use serde::Deserialize;

use crate::place::{self, Place};
use crate::shown;

/// One network with its weights.
pub struct CandleDit {
    net: Dit,
    place: Place,
}

/// The recipe's `config` table, with `weights` in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    weights: std::path::PathBuf,
}

/// What is read of the weights file's own words; its noise schedule is the sampler's business.
#[derive(Deserialize)]
struct Stored {
    model: DitConfig,
}

impl Backend for CandleDit {
    fn manifest() -> Manifest {
        Manifest {
            licence: env!("CARGO_PKG_LICENSE").into(),
            operations: vec!["denoise".into()],
            devices: place::devices(),
            ..Manifest::new("candle-dit", env!("CARGO_PKG_VERSION"))
        }
    }

    fn create(host: &Host, config: &serde_json::Value) -> Result<Self> {
        let Config { weights } = serde_json::from_value(config.clone())
            .map_err(|error| Error::new(format!("its config: {error}: it takes `weights` and nothing else")))?;
        let named = |error: Error| Error::new(format!("`{}`: {error}", weights.display()));
        let file = checkpoint::load(&weights).map_err(shown)?;
        let stored = file.entry("config").filter(|_| file.entry("network").as_deref() == Some("dit"));
        let stored = stored.ok_or_else(|| named("it is not a file that `limbeck train generator` wrote".into()))?;
        let Stored { model } = serde_json::from_str(&stored).map_err(|error| named(shown(error)))?;
        let place = Place::new(host, "denoiser")?;
        let net = Dit::new(&model, &Params::frozen(file.tensors, DType::F32, place.device()));
        let net = net.map_err(|error| named(shown(error)))?;
        host.log(Level::Info, &format!("dit from `{}`", weights.display()));
        Ok(Self { net, place })
    }

    fn describe(&self) -> Description {
        let DitConfig { channels, size, classes, .. } = *self.net.config();
        let input = InputSize { channels, height: size, width: size };
        Description { classes, input, features: None, variance: true, network: Some("dit".into()) }
    }

    fn denoiser(&self) -> Option<&dyn Denoiser> {
        Some(self)
    }
}

impl Denoiser for CandleDit {
    fn denoise(
        &self,
        exec: &Exec,
        noisy: &Noisy<'_>,
        epsilon: &mut Output<'_>,
        variance: Option<&mut Output<'_>>,
    ) -> Result<()> {
        let DitConfig { channels, classes, .. } = *self.net.config();
        let Condition::Classes(labels) = &noisy.condition else {
            return Err(Error::unsupported("its condition is a class, not an embedding"));
        };
        let turn = self.place.begin(exec)?;
        let (x, t) = (turn.read(&noisy.x)?, turn.read(&noisy.t)?);
        let labels = turn.read(labels)?.to_vec1::<i64>().map_err(shown)?;
        let labels = labels.into_iter().map(|label| match u32::try_from(label) {
            Ok(class) if (class as usize) < classes => Ok(class),
            // One more embedding than there are classes stands for none.
            _ if label == -1 => Ok(classes as u32),
            _ => Err(Error::invalid(format!("class {label}: it knows 0 to {}, and -1 for none", classes - 1))),
        });
        let labels = labels.collect::<Result<Vec<u32>>>()?;
        let parts = self.place.work(|| {
            let both = self.net.forward(&x, &t, &Tensor::new(labels, x.device())?)?; // [n, 2 · channels, h, w]
            let part = |start| both.narrow(1, start, channels);
            limbeck_models::Result::Ok((part(0)?, part(channels)?))
        });
        let (first, second) = parts.map_err(shown)?;
        turn.write(&first, epsilon)?;
        variance.map_or(Ok(()), |variance| turn.write(&second, variance))
    }
}
