//! Native backends: a teacher from a dynamic library that the recipe names, or the same backend linked in.
//!
//! A plugin is code that the user chose to trust. The host's duty is to load exactly what was named, to hand over
//! exactly what was promised, and to turn every lie that it can detect into a clear error.

mod classifier;
#[cfg(feature = "cuda")]
mod cuda;
mod denoiser;
mod ensemble;
mod exchange;
mod instance;
mod kind;
mod library;
mod listing;
mod plugin;
mod selftest;
mod services;
mod table;
mod watch;

use std::path::Path;

use candle_core::{Device, Tensor};
pub use limbeck_backend::{Backend, Level, Manifest};
use serde::Serialize;

pub use self::denoiser::{Denoised, Denoiser, DenoiserInfo};
use self::ensemble::Ensemble;
use self::library::PluginFile;
pub use self::listing::{Listed, list};
use self::plugin::Plugin;
pub use self::selftest::{Finding, SelfTest, Speed, Told, Verdict, self_test};
pub use self::services::{Log, Services};
pub use self::watch::{PluginWatch, watch_plugins};
use crate::plan::{Combine, PluginPlan, TeachersPlan};
use crate::progress::Progress;
use crate::words::image_shape;
use crate::{Context as _, Error, Result};

/// A teacher.
pub trait Classifier: Send + Sync {
    fn info(&self) -> &ClassifierInfo;

    /// Grades images, f32 `[n, channels, height, width]` with values 0 to 1, on any device. The results are on the same
    /// device and finite. Fails on images of another shape and on whatever the teacher does wrong.
    fn classify(&self, images: &Tensor) -> Result<Grades>;

    /// The gradient of `Σ d_logits · logits` with respect to images as [`Self::classify`] takes them, of their shape, on
    /// their device and finite. `d_logits` is f32 `[n, classes]`. Fails as wrong input where the teacher gives none.
    fn image_gradient(&self, _images: &Tensor, _d_logits: &Tensor) -> Result<Tensor> {
        Err(Error::input(format!(
            "teacher `{}` gives no image gradients: name a plugin whose manifest lists `vjp`",
            self.info().name
        )))
    }
}

/// What a teacher says about `n` images.
#[derive(Clone, Debug)]
pub struct Grades {
    /// f32 `[n, classes]`.
    pub logits: Tensor,
    /// The input of the last layer, f32 `[n, features]`, where the teacher gives it.
    pub features: Option<Tensor>,
}

/// What is known about a teacher once it is set up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassifierInfo {
    pub name: String,
    pub version: String,
    pub licence: String,
    /// The network's name, where the plugin tells.
    pub network: Option<String>,
    pub classes: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub features: Option<usize>,
    pub deterministic: bool,
    /// Where it works; images elsewhere are brought there and the grades back.
    pub device: String,
    /// Of the plugin's file; empty when linked in.
    pub sha256: String,
}

impl ClassifierInfo {
    /// Fails as wrong input unless it tells so many classes apart.
    pub fn check_classes(&self, classes: usize) -> Result<()> {
        if self.classes == classes {
            return Ok(());
        }
        Err(Error::input(format!(
            "the teacher `{}` tells {} classes apart, `data.classes` is {classes}: name a teacher of these classes",
            self.name, self.classes
        )))
    }

    /// Fails as wrong input unless it takes images of so many channels, of this height and width.
    pub fn check_images(&self, found: (usize, usize, usize)) -> Result<()> {
        let taught = (self.channels, self.height, self.width);
        if found == taught {
            return Ok(());
        }
        let remedy = if found.0 == self.channels {
            ", or set `size` (or `input`, which resizes) in its `config` if it has such a key"
        } else {
            ""
        };
        Err(Error::input(format!(
            "they are {}, the teacher `{}` takes {}: name a teacher of this size{remedy}",
            image_shape(found),
            self.name,
            image_shape(taught)
        )))
    }
}

/// Opens the teacher of a run: the one that the plan names, or all that it names as one.
///
/// Several must tell the same classes apart and take images of one size. They are asked one after the other. `progress`
/// hears what their plugins warn of.
pub fn open_teacher(plan: &TeachersPlan, device: &Device, progress: &Progress) -> Result<Box<dyn Classifier>> {
    let mut members = Vec::with_capacity(plan.members.len());
    for (name, member) in &plan.members {
        let who = if plan.members.len() == 1 { plugin_name(member) } else { format!("teacher `{name}`") };
        let services = Services::telling(progress, &who, Level::Warn);
        let opened = open_classifier_with(member, device, services);
        members.push((name.clone(), if plan.members.len() == 1 { opened? } else { opened.context(who)? }));
    }
    combine(members, plan.combine, &plan.classes)
}

/// Makes one teacher of those that have these names; with [`Combine::PerClass`], `classes` names who decides each class.
///
/// Fails as wrong input on none, on teachers of unlike classes or images (naming two that differ), and on a name in
/// `classes` that nobody has.
pub fn combine(
    mut members: Vec<(String, Box<dyn Classifier>)>,
    combine: Combine,
    classes: &[String],
) -> Result<Box<dyn Classifier>> {
    match members.len() {
        1 => members.pop().map(|(_, alone)| alone).ok_or_else(|| Error::failed("one teacher is none")),
        _ => Ok(Box::new(Ensemble::new(members, combine, classes)?)),
    }
}

/// Opens a teacher, with default [`Services`].
///
/// Fails as wrong input when the file is not the pinned one or no plugin, and when the plugin refuses its weights.
pub fn open_classifier(plan: &PluginPlan, device: &Device) -> Result<Box<dyn Classifier>> {
    open_classifier_with(plan, device, Services::default())
}

/// Opens a teacher. A plugin that does not work on `device` works on the CPU.
pub fn open_classifier_with(plan: &PluginPlan, device: &Device, services: Services) -> Result<Box<dyn Classifier>> {
    let (plugin, config) = Plugin::planned(plan)?;
    plugin.classifier(&config, device, services)
}

/// Makes a classifier of a backend that is linked into this program: the same table, the same checks.
///
/// `config` is what a recipe's `config` table would be, with `weights` in it.
pub fn link_classifier<B: Backend>(
    config: &serde_json::Value,
    device: &Device,
    services: Services,
) -> Result<Box<dyn Classifier>> {
    Plugin::linked::<B>()?.classifier(config, device, services)
}

/// What messages call the plugin of a plan.
pub fn plugin_name(plan: &PluginPlan) -> String {
    format!("plugin {}", plan.plugin.file_stem().unwrap_or_default().to_string_lossy())
}

/// Opens a denoiser; `plan` names plugin, pin, weights and options as for a teacher.
///
/// Fails as wrong input when the file is not the pinned one or no plugin, and when the plugin refuses its weights.
pub fn open_denoiser(plan: &PluginPlan, device: &Device, services: Services) -> Result<Box<dyn Denoiser>> {
    let (plugin, config) = Plugin::planned(plan)?;
    plugin.denoiser(&config, device, services)
}

/// Makes a denoiser of a backend that is linked into this program: the same table, the same checks.
pub fn link_denoiser<B: Backend>(
    config: &serde_json::Value,
    device: &Device,
    services: Services,
) -> Result<Box<dyn Denoiser>> {
    Plugin::linked::<B>()?.denoiser(config, device, services)
}

/// What [`inspect`] tells about a plugin's file.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    pub path: String,
    pub sha256: String,
    /// `major.minor`.
    pub abi: String,
    pub manifest: Manifest,
}

/// Loads a plugin, which runs its initialisers, and tells what a recipe needs to pin it. Makes no instance.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let file = PluginFile::read(&std::path::absolute(path)?)?;
    Ok(Plugin::open(&file)?.inspection())
}

/// What [`inspect`] tells, of a backend that is linked into this program: there is no file and no hash.
pub fn inspect_linked<B: Backend>() -> Result<Inspection> {
    Ok(Plugin::linked::<B>()?.inspection())
}
