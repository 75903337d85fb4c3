//! A class-conditional diffusion transformer, run by candle: the denoiser that `limbeck train generator` trains, behind the
//! plugin ABI.

use candle_core::{DType, Device, Tensor};
use limbeck_backend::{
    Backend, Condition, Denoiser, Description, Error, Exec, Host, InputSize, Level, Manifest, Noisy, Output, Result,
};
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::{Params, checkpoint};
use serde::Deserialize;

use crate::{shown, threads};

/// One network with its weights.
pub struct CandleDit {
    net: Dit,
    /// Its own threads, so that the host's budget holds whatever candle's defaults are.
    pool: rayon::ThreadPool,
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
        let net = Dit::new(&model, &Params::frozen(file.tensors, DType::F32, &Device::Cpu));
        let net = net.map_err(|error| named(shown(error)))?;
        let pool = threads("denoiser", host)?;
        host.log(Level::Info, &format!("dit from `{}`", weights.display()));
        Ok(Self { net, pool })
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
        _exec: &Exec,
        noisy: &Noisy<'_>,
        epsilon: &mut Output<'_>,
        variance: Option<&mut Output<'_>>,
    ) -> Result<()> {
        let DitConfig { channels, classes, .. } = *self.net.config();
        let Condition::Classes(labels) = &noisy.condition else {
            return Err(Error::unsupported("its condition is a class, not an embedding"));
        };
        let labels = labels.i64s()?.iter().map(|&label| match u32::try_from(label) {
            Ok(class) if (class as usize) < classes => Ok(class),
            // One more embedding than there are classes stands for none.
            _ if label == -1 => Ok(classes as u32),
            _ => Err(Error::invalid(format!("class {label}: it knows 0 to {}, and -1 for none", classes - 1))),
        });
        let labels = labels.collect::<Result<Vec<u32>>>()?;
        let (x, t, shape) = (noisy.x.f32s()?, noisy.t.f32s()?, noisy.x.shape().to_vec());
        let parts = self.pool.install(|| {
            let (x, t) = (Tensor::from_slice(x, shape, &Device::Cpu)?, Tensor::new(t, &Device::Cpu)?);
            let both = self.net.forward(&x, &t, &Tensor::new(labels, &Device::Cpu)?)?; // [n, 2 · channels, h, w]
            let part = |start| both.narrow(1, start, channels)?.flatten_all()?.to_vec1::<f32>();
            limbeck_models::Result::Ok((part(0)?, part(channels)?))
        });
        let (first, second) = parts.map_err(shown)?;
        epsilon.copy_from(&first)?;
        variance.map_or(Ok(()), |variance| variance.copy_from(&second))
    }
}
