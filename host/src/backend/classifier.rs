//! A plugin as a classifier: shapes and values checked on the way in and out.

use candle_core::{DType, Tensor};
use limbeck_backend::Manifest;
use limbeck_backend::abi::{OP_CLASSIFY, OP_VJP};
use limbeck_models::finite::first_not_finite;

use super::instance::Instance;
use super::{Classifier, ClassifierInfo, Grades};
use crate::{Context, Error, Result};

pub(super) struct PluginClassifier {
    instance: Instance,
    info: ClassifierInfo,
    /// Whether it also gives image gradients.
    differentiable: bool,
}

impl PluginClassifier {
    /// `sha256` is that of the plugin's file, empty for a backend that is linked in.
    pub(super) fn new(instance: Instance, manifest: &Manifest, sha256: String) -> Self {
        let description = instance.description();
        let info = ClassifierInfo {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            licence: manifest.licence.clone(),
            network: description.network.clone(),
            classes: description.classes,
            channels: description.input.channels,
            height: description.input.height,
            width: description.input.width,
            features: description.features,
            deterministic: manifest.deterministic,
            device: format!("{:?}", instance.device().location()).to_lowercase(),
            sha256,
        };
        let differentiable = manifest.operations.iter().any(|operation| operation == "vjp");
        Self { instance, info, differentiable }
    }

    fn check_images(&self, images: &Tensor) -> Result<usize> {
        let info = &self.info;
        match *images.dims() {
            [rows, channels, height, width]
                if (channels, height, width) == (info.channels, info.height, info.width)
                    && images.dtype() == DType::F32 =>
            {
                Ok(rows)
            }
            _ => Err(Error::failed(format!(
                "plugin `{}` needs f32 images [n, {}, {}, {}], it got {:?} {:?}",
                self.instance.shown(),
                info.channels,
                info.height,
                info.width,
                images.dtype(),
                images.dims()
            ))),
        }
    }
}

impl Classifier for PluginClassifier {
    fn info(&self) -> &ClassifierInfo {
        &self.info
    }

    fn classify(&self, images: &Tensor) -> Result<Grades> {
        let rows = self.check_images(images)?;
        let shapes: Vec<_> =
            std::iter::once(self.info.classes).chain(self.info.features).map(|width| vec![rows, width]).collect();
        let outputs = if rows == 0 {
            let empty = shapes.iter().map(|shape| Ok(Tensor::zeros(shape.as_slice(), DType::F32, images.device())?));
            empty.collect::<Result<_>>()?
        } else {
            // Neither of these copies when there is nothing to do.
            let images = images.to_device(self.instance.device())?.contiguous()?;
            self.instance.run(OP_CLASSIFY, &[&images], &shapes)?
        };
        let mut outputs = outputs.into_iter();
        let mut next = |what: &str| -> Result<Option<Tensor>> {
            let Some(output) = outputs.next() else { return Ok(None) };
            require_finite(&output, what).context(format!("plugin `{}`", self.instance.shown()))?;
            Ok(Some(output.to_device(images.device())?))
        };
        let logits = next("logits")?.ok_or_else(|| Error::failed("a classifier without logits"))?;
        Ok(Grades { logits, features: next("features")? })
    }

    fn image_gradient(&self, images: &Tensor, d_logits: &Tensor) -> Result<Tensor> {
        let rows = self.check_images(images)?;
        let shown = self.instance.shown();
        if !self.differentiable {
            return Err(Error::input(format!(
                "plugin `{shown}` gives no image gradients: name one whose manifest lists `vjp`"
            )));
        }
        if d_logits.dims() != [rows, self.info.classes] || d_logits.dtype() != DType::F32 {
            return Err(Error::failed(format!(
                "plugin `{shown}` needs f32 gradients of logits [{rows}, {}], it got {:?} {:?}",
                self.info.classes,
                d_logits.dtype(),
                d_logits.dims()
            )));
        }
        if rows == 0 {
            return Ok(images.zeros_like()?);
        }
        let here = |tensor: &Tensor| tensor.to_device(self.instance.device())?.contiguous();
        let inputs = [here(images)?, here(d_logits)?];
        let outputs = self.instance.run(OP_VJP, &inputs.each_ref(), &[images.dims().to_vec()])?;
        let gradient = outputs.into_iter().next().ok_or_else(|| Error::failed("a gradient without an answer"))?;
        require_finite(&gradient.flatten_from(1)?, "image gradient").context(format!("plugin `{shown}`"))?;
        Ok(gradient.to_device(images.device())?)
    }
}

/// Fails on the first row `[n, width]` that has NaN or an infinity in it.
pub(super) fn require_finite(rows: &Tensor, what: &str) -> Result<()> {
    let Some((at, value)) = first_not_finite(rows)? else { return Ok(()) };
    let (count, width) = rows.dims2()?;
    Err(Error::failed(format!(
        "it gave {value} in the {what} of row {} of {count} (column {} of {width}): \
         it left them unwritten, or its weights or normalisation are broken",
        at / width,
        at % width
    )))
}
