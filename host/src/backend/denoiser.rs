//! A plugin as a denoiser: shapes and values checked on the way in and out.

use candle_core::{DType, Tensor};
use limbeck_backend::Manifest;
use limbeck_backend::abi::OP_DENOISE;
use serde::Serialize;

use super::classifier::require_finite;
use super::instance::Instance;
use crate::{Context as _, Error, Result};

/// What predicts the noise in noisy images.
pub trait Denoiser: Send + Sync {
    fn info(&self) -> &DenoiserInfo;

    /// The noise in `x`, f32 `[n, channels, height, width]`, at the diffusion steps `t`, f32 `[n]`, for a `condition`: i64
    /// `[n]`, a class or -1 for none, or f32 `[n, width]`, an embedding. The results are on `x`'s device and finite.
    fn denoise(&self, x: &Tensor, t: &Tensor, condition: &Tensor) -> Result<Denoised>;
}

/// What a denoiser says about `n` noisy images.
#[derive(Clone, Debug)]
pub struct Denoised {
    /// The noise, f32 like the images.
    pub epsilon: Tensor,
    /// Where the denoiser gives it: the raw network output between the logarithms of the posterior's lower and upper
    /// variance (improved DDPM, equation 15), f32 like the images.
    pub variance: Option<Tensor>,
}

/// What is known about a denoiser once it is set up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DenoiserInfo {
    pub name: String,
    pub version: String,
    pub licence: String,
    pub network: Option<String>,
    /// How many classes a condition may name.
    pub classes: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub variance: bool,
    pub deterministic: bool,
    /// Of the plugin's file; empty when linked in.
    pub sha256: String,
}

pub(super) struct PluginDenoiser {
    instance: Instance,
    info: DenoiserInfo,
}

impl PluginDenoiser {
    /// `sha256` is that of the plugin's file, empty for a backend that is linked in.
    pub(super) fn new(instance: Instance, manifest: &Manifest, sha256: String) -> Self {
        let description = instance.description();
        let info = DenoiserInfo {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            licence: manifest.licence.clone(),
            network: description.network.clone(),
            classes: description.classes,
            channels: description.input.channels,
            height: description.input.height,
            width: description.input.width,
            variance: description.variance,
            deterministic: manifest.deterministic,
            sha256,
        };
        Self { instance, info }
    }

    fn check(&self, x: &Tensor, t: &Tensor, condition: &Tensor) -> Result<()> {
        let info = &self.info;
        let rows = x.dims().first().copied().unwrap_or_default();
        let images = x.dims() == [rows, info.channels, info.height, info.width] && x.dtype() == DType::F32;
        let steps = t.dims() == [rows] && t.dtype() == DType::F32;
        let condition_fits = match (condition.dtype(), condition.dims()) {
            (DType::I64, [count]) | (DType::F32, [count, _]) => *count == rows,
            _ => false,
        };
        if images && steps && condition_fits && rows > 0 {
            return Ok(());
        }
        Err(Error::failed(format!(
            "plugin `{}` needs f32 images [n, {}, {}, {}], f32 steps [n] and a condition i64 [n] or f32 [n, width], it got \
             {:?} {:?}, {:?} {:?} and {:?} {:?}",
            self.instance.shown(),
            info.channels,
            info.height,
            info.width,
            x.dtype(),
            x.dims(),
            t.dtype(),
            t.dims(),
            condition.dtype(),
            condition.dims()
        )))
    }
}

impl Denoiser for PluginDenoiser {
    fn info(&self) -> &DenoiserInfo {
        &self.info
    }

    fn denoise(&self, x: &Tensor, t: &Tensor, condition: &Tensor) -> Result<Denoised> {
        self.check(x, t, condition)?;
        let here = |tensor: &Tensor| tensor.to_device(self.instance.device())?.contiguous();
        let (inputs, shape) = ([here(x)?, here(t)?, here(condition)?], x.dims().to_vec());
        let shapes = vec![shape; 1 + usize::from(self.info.variance)];
        let mut outputs = self.instance.run(OP_DENOISE, &inputs.each_ref(), &shapes)?.into_iter();
        let mut next = |what: &str| -> Result<Option<Tensor>> {
            let Some(output) = outputs.next() else { return Ok(None) };
            require_finite(&output.flatten_from(1)?, what).context(format!("plugin `{}`", self.instance.shown()))?;
            Ok(Some(output.to_device(x.device())?))
        };
        let epsilon = next("noise")?.ok_or_else(|| Error::failed("a denoiser without an answer"))?;
        Ok(Denoised { epsilon, variance: next("variance")? })
    }
}
