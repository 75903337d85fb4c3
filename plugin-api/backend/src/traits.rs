//! What an author writes: a [`Backend`], and the operations it has.

use crate::{Description, Exec, Host, Input, Manifest, Output, Result};

/// A plugin's type: one value of it is one instance, made from a recipe's `config` table.
///
/// Panics are caught: the call fails with the panic's message, and so does every later call of that instance.
/// `Manifest::threads` may promise less than `Sync` allows; the host keeps to it.
pub trait Backend: Send + Sync + Sized + 'static {
    /// What holds for every instance. Called once.
    fn manifest() -> Manifest;

    /// Makes an instance. `config` is the recipe's table; `weights`, if the recipe names any, is an absolute path.
    fn create(host: &Host, config: &serde_json::Value) -> Result<Self>;

    /// What holds for this instance. Called once, right after `create`.
    fn describe(&self) -> Description;

    /// This instance as a classifier, if it is one.
    fn classifier(&self) -> Option<&dyn Classifier> {
        None
    }

    /// This instance as a denoiser, if it is one.
    fn denoiser(&self) -> Option<&dyn Denoiser> {
        None
    }

    /// This instance as a giver of image gradients, if it is one.
    fn differentiable(&self) -> Option<&dyn Differentiable> {
        None
    }
}

/// Images to logits.
pub trait Classifier {
    /// Classifies `images`, f32 `[n, channels, height, width]` of the described size, values 0 to 1, not normalised.
    ///
    /// Fills `logits`, f32 `[n, classes]`, and where the host wants them `features`, f32 `[n, features]`, the input of
    /// the last linear layer. `n` is at least 1 and differs from call to call.
    fn classify(
        &self,
        exec: &Exec,
        images: &Input<'_>,
        logits: &mut Output<'_>,
        features: Option<&mut Output<'_>>,
    ) -> Result<()>;
}

/// A classifier whose logits can be traced back to the images.
pub trait Differentiable {
    /// The vector-Jacobian product: fills `d_images`, f32 like `images`, with the gradient of `Σ d_logits · logits` with
    /// respect to `images` as [`Classifier::classify`] takes them, before any normalisation. `d_logits` is f32
    /// `[n, classes]`; each row of the result depends on that row of the inputs alone.
    fn vjp(&self, exec: &Exec, images: &Input<'_>, d_logits: &Input<'_>, d_images: &mut Output<'_>) -> Result<()>;
}

/// One step's input to a [`Denoiser`].
#[derive(Debug)]
pub struct Noisy<'a> {
    /// f32 `[n, channels, height, width]`.
    pub x: Input<'a>,
    /// The diffusion step of each row: f32 `[n]`.
    pub t: Input<'a>,
    pub condition: Condition<'a>,
}

/// What a denoised image is to show.
#[derive(Debug)]
pub enum Condition<'a> {
    /// i64 `[n]`: a class, or -1 for none.
    Classes(Input<'a>),
    /// f32 `[n, width]`.
    Embedding(Input<'a>),
}

/// Noisy images to the noise in them.
pub trait Denoiser {
    /// Fills `epsilon`, f32 like `noisy.x`, and where the host wants it `variance`, f32 like `noisy.x`: the raw network
    /// output between the logarithms of the posterior's lower and upper variance (improved DDPM, eq. 15).
    fn denoise(
        &self,
        exec: &Exec,
        noisy: &Noisy<'_>,
        epsilon: &mut Output<'_>,
        variance: Option<&mut Output<'_>>,
    ) -> Result<()>;
}
