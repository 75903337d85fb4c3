//! A plugin with a checked table: opened from a file, or linked into this program.

use std::path::{Path, PathBuf};

use candle_core::Device;
use limbeck_backend::{Backend, Manifest, Threads, abi, table_of};

use super::classifier::PluginClassifier;
use super::denoiser::PluginDenoiser;
use super::instance::{Instance, Setup};
use super::library::PluginFile;
use super::services::Services;
use super::table::{self, Table};
use super::watch;
use super::{Classifier, Denoiser, Inspection};
use crate::plan::PluginPlan;
use crate::{Error, Result};

pub(super) struct Plugin {
    /// Names the plugin in errors.
    shown: &'static str,
    /// Of the file; empty when linked in.
    sha256: String,
    folder: PathBuf,
    table: Table,
}

impl Plugin {
    /// Loads the library and checks its table.
    pub(super) fn open(file: &PluginFile) -> Result<Self> {
        let shown = watch::opened(&file.path().display().to_string());
        let query = table::query_function(watch::within(shown, "dlopen", || file.load())?, shown)?;
        // SAFETY: the function has the name that the header reserves for plugins, and its library is never unloaded.
        let table = watch::within(shown, abi::QUERY_SYMBOL, || unsafe { Table::negotiate(query, shown) })?;
        let folder = file.path().parent().unwrap_or(Path::new("/")).into();
        Ok(Self { shown, sha256: file.sha256().into(), folder, table })
    }

    /// Takes a backend of this program. It has no folder of its own and gets the root.
    pub(super) fn linked<B: Backend>() -> Result<Self> {
        let shown = std::any::type_name::<B>();
        // SAFETY: a table made by `limbeck-backend` itself, which lives as long as the process.
        let table = unsafe { Table::check(table_of::<B>(), shown) }?;
        if table.manifest.threads == Threads::Serial {
            // It would share the host's pool of threads: one that waits within a call may take up work that calls again.
            return Err(Error::failed(format!(
                "backend `{shown}` is linked in and says `threads: serial`, which could wait for itself for ever: make it \
                 `concurrent` or `single`, or build it as a plugin"
            )));
        }
        Ok(Self { shown, sha256: String::new(), folder: "/".into(), table })
    }

    /// Loads the pinned plugin of a plan, with the config for its instances. Fails as wrong input when the file is not the
    /// pinned one or no plugin.
    pub(super) fn planned(plan: &PluginPlan) -> Result<(Self, serde_json::Value)> {
        let file = PluginFile::read(&plan.plugin)?;
        file.require_pin(plan.sha256.as_deref(), plan.allow_unpinned)?;
        let config = instance_config(&plan.config, plan.weights.as_deref())?;
        Ok((Self::open(&file)?, config))
    }

    /// Makes an instance that classifies, on `device` or else on the CPU.
    pub(super) fn classifier(
        &self,
        config: &serde_json::Value,
        device: &Device,
        services: Services,
    ) -> Result<Box<dyn Classifier>> {
        self.require("classify", "teacher")?;
        let instance = self.instance(config, device, services)?;
        Ok(Box::new(PluginClassifier::new(instance, self.manifest(), self.sha256.clone())))
    }

    /// Makes an instance that denoises, on `device` or else on the CPU.
    pub(super) fn denoiser(
        &self,
        config: &serde_json::Value,
        device: &Device,
        services: Services,
    ) -> Result<Box<dyn Denoiser>> {
        self.require("denoise", "denoiser")?;
        let instance = self.instance(config, device, services)?;
        Ok(Box::new(PluginDenoiser::new(instance, self.manifest(), self.sha256.clone())))
    }

    /// Fails unless the plugin has the operation that makes it a `role`.
    fn require(&self, operation: &str, role: &str) -> Result<()> {
        if self.has_operation(operation) {
            return Ok(());
        }
        let (shown, found) = (self.shown, self.manifest().operations.join(", "));
        Err(Error::input(format!("plugin `{shown}` is no {role}: it has `{found}`, not `{operation}`")))
    }

    /// Whether the manifest lists the operation.
    pub(super) fn has_operation(&self, name: &str) -> bool {
        self.table.manifest.operations.iter().any(|item| item == name)
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.table.manifest
    }

    /// Makes an instance, on `device` or else on the CPU.
    pub(super) fn instance(&self, config: &serde_json::Value, device: &Device, services: Services) -> Result<Instance> {
        let (manifest, shown) = (&self.table.manifest, self.shown);
        let has = |list: &[String], name: &str| list.iter().any(|item| item == name);
        if !has(&manifest.dtypes, "f32") {
            let found = manifest.dtypes.join(", ");
            return Err(Error::input(format!("plugin `{shown}` takes tensors of {found} only, this host gives f32")));
        }
        let device = match device {
            Device::Cuda(_) if has(&manifest.devices, "cuda") => device,
            _ if has(&manifest.devices, "cpu") => &Device::Cpu,
            _ => {
                let found = manifest.devices.join(", ");
                return Err(Error::input(format!("plugin `{shown}` works on {found} only: choose it with `--device`")));
            }
        };
        let setup = Setup { shown, plugin_dir: &self.folder, config, device, services };
        Instance::create(&self.table, setup)
    }

    pub(super) fn inspection(&self) -> Inspection {
        let abi = format!("{}.{}", abi::MAJOR, self.table.abi_minor);
        let (path, sha256) = (self.shown.to_owned(), self.sha256.clone());
        Inspection { path, sha256, abi, manifest: self.table.manifest.clone() }
    }
}

/// The recipe's `config` table with the path of the weights in it.
pub(super) fn instance_config(config: &serde_json::Value, weights: Option<&Path>) -> Result<serde_json::Value> {
    let mut table = match config {
        serde_json::Value::Null => serde_json::Map::new(),
        serde_json::Value::Object(table) => table.clone(),
        other => return Err(Error::input(format!("the plugin's `config` must be a table, it is `{other}`"))),
    };
    if table.contains_key("weights") {
        return Err(Error::input(
            "`weights` in the plugin's `config` would be loaded whatever is there: write it beside `plugin`, where the run \
             hashes the file (`backend check` takes it as `--weights FILE`)",
        ));
    }
    if let Some(weights) = weights {
        let path = weights.to_str().ok_or_else(|| {
            Error::input(format!("weights `{}`: the path is not UTF-8: rename it", weights.display()))
        })?;
        table.insert("weights".into(), path.into());
    }
    Ok(table.into())
}

#[cfg(test)]
mod tests {
    use limbeck_backend::{Description, Host};

    use super::*;

    struct Serial;

    impl Backend for Serial {
        fn manifest() -> Manifest {
            Manifest { operations: vec!["classify".into()], threads: Threads::Serial, ..Manifest::new("serial", "1") }
        }

        fn create(_: &Host, _: &serde_json::Value) -> limbeck_backend::Result<Self> {
            Ok(Self)
        }

        fn describe(&self) -> Description {
            unreachable!("nobody makes one")
        }
    }

    #[test]
    fn no_linked_backend_takes_one_call_at_a_time() {
        let error = Plugin::linked::<Serial>().err().unwrap().to_string();
        assert!(error.contains("Serial` is linked in and says `threads: serial`"), "{error}");
    }
}
