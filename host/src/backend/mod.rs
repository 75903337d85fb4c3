//! Native backends: a teacher from a dynamic library that the recipe names, or the same backend linked in.
//!
//! A plugin is code that the user chose to trust. The host's duty is to load exactly what was named, to hand over
//! exactly what was promised, and to turn every lie that it can detect into a clear error.

mod classifier;
#[cfg(feature = "cuda")]
mod cuda;
mod exchange;
mod instance;
mod kind;
mod library;
mod services;
mod table;

use std::path::Path;

use candle_core::{Device, Tensor};
use limbeck_backend::{Backend, table_of};
pub use limbeck_backend::{Level, Manifest};
use serde::Serialize;

use self::classifier::PluginClassifier;
use self::instance::{Instance, Setup};
use self::library::PluginFile;
pub use self::services::Services;
use self::table::Table;
use crate::plan::TeacherPlan;
use crate::{Error, Result};

/// A teacher.
pub trait Classifier: Send + Sync {
    fn info(&self) -> &ClassifierInfo;

    /// Grades images, f32 `[n, channels, height, width]` with values 0 to 1, on any device. The results are on the same
    /// device and finite. Fails on images of another shape and on whatever the teacher does wrong.
    fn classify(&self, images: &Tensor) -> Result<Grades>;
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

/// Opens the teacher of a plan, with default [`Services`].
///
/// Fails as wrong input when the file is not the pinned one or no plugin, and when the plugin refuses its weights.
pub fn open_classifier(plan: &TeacherPlan, device: &Device) -> Result<Box<dyn Classifier>> {
    open_classifier_with(plan, device, Services::default())
}

/// Opens the teacher of a plan. A plugin that does not work on `device` works on the CPU.
pub fn open_classifier_with(plan: &TeacherPlan, device: &Device, services: Services) -> Result<Box<dyn Classifier>> {
    let file = PluginFile::read(&plan.plugin)?;
    file.require_pin(plan.sha256.as_deref(), plan.allow_unpinned)?;
    let shown = plan.plugin.display().to_string();
    let table = negotiate(&file, &shown)?;
    let config = instance_config(&plan.config, plan.weights.as_deref())?;
    let plugin_dir = plan.plugin.parent().unwrap_or(Path::new("/"));
    classifier(table, &shown, file.sha256(), plugin_dir, &config, device, services)
}

/// Makes a classifier of a backend that is linked into this program: the same table, the same checks.
///
/// `config` is what a recipe's `config` table would be, with `weights` in it.
pub fn link_classifier<B: Backend>(
    config: &serde_json::Value,
    device: &Device,
    services: Services,
) -> Result<Box<dyn Classifier>> {
    let shown = std::any::type_name::<B>();
    // SAFETY: a table made by `limbeck-backend` itself.
    let table = unsafe { Table::check(table_of::<B>(), shown) }?;
    classifier(table, shown, "", Path::new("/"), config, device, services)
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
    let path = std::path::absolute(path)?;
    let file = PluginFile::read(&path)?;
    let shown = path.display().to_string();
    let table = negotiate(&file, &shown)?;
    let abi = format!("{}.{}", limbeck_backend::abi::MAJOR, table.abi_minor);
    Ok(Inspection { path: shown, sha256: file.sha256().into(), abi, manifest: table.manifest })
}

fn negotiate(file: &PluginFile, shown: &str) -> Result<Table> {
    let library = file.load()?;
    let query = table::query_function(library, shown)?;
    // SAFETY: the function has the name that the header reserves for plugins, and its library is never unloaded.
    unsafe { Table::negotiate(query, shown) }
}

/// The recipe's `config` table with the path of the weights in it.
fn instance_config(config: &serde_json::Value, weights: Option<&Path>) -> Result<serde_json::Value> {
    let mut table = match config {
        serde_json::Value::Null => serde_json::Map::new(),
        serde_json::Value::Object(table) => table.clone(),
        other => return Err(Error::input(format!("[teacher] `config` must be a table, it is `{other}`"))),
    };
    if let Some(weights) = weights {
        let path = weights.to_str().ok_or_else(|| {
            Error::input(format!("weights `{}`: the path is not UTF-8: rename it", weights.display()))
        })?;
        table.insert("weights".into(), path.into());
    }
    Ok(table.into())
}

fn classifier(
    table: Table,
    shown: &str,
    sha256: &str,
    plugin_dir: &Path,
    config: &serde_json::Value,
    device: &Device,
    services: Services,
) -> Result<Box<dyn Classifier>> {
    let manifest = &table.manifest;
    if !manifest.operations.iter().any(|name| name == "classify") {
        let has = manifest.operations.join(", ");
        return Err(Error::input(format!("plugin `{shown}` is no teacher: it has `{has}`, a teacher has `classify`")));
    }
    let works_on = |name: &str| manifest.devices.iter().any(|device| device == name);
    let device = match device {
        Device::Cuda(_) if works_on("cuda") => device,
        _ if works_on("cpu") => &Device::Cpu,
        _ => {
            let has = manifest.devices.join(", ");
            return Err(Error::input(format!("plugin `{shown}` works on {has} only: choose `--device` accordingly")));
        }
    };
    let instance = Instance::create(&table, Setup { shown, plugin_dir, config, device, services })?;
    Ok(Box::new(PluginClassifier::new(instance, &table, sha256.into())))
}
