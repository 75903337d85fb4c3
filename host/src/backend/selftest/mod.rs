//! `limbeck backend check`: asks a plugin what a run would ask it, and says in words what is wrong with the answers.
//!
//! Whatever goes wrong before there is an instance is an error of its own; what an instance answers becomes findings.

mod budget;
mod cases;
mod load;
mod probe;

use std::path::Path;

use candle_core::Device;
use limbeck_backend::Description;
use serde::Serialize;

use self::probe::Probe;
use super::instance::Instance;
use super::library::PluginFile;
use super::plugin::{self, Plugin};
use super::{Inspection, Services};
use crate::Result;

/// Findings and speeds of one operation, at most.
const STEPS: u64 = 13;

/// What came out of a plugin's self-test.
#[derive(Clone, Debug, Serialize)]
pub struct SelfTest {
    pub plugin: Inspection,
    /// What the instance says about itself.
    pub description: Description,
    pub device: String,
    pub findings: Vec<Finding>,
    pub speed: Vec<Speed>,
}

impl SelfTest {
    /// How many findings are failures.
    pub fn failures(&self) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count()
    }
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The operation, `classify`, `denoise` or `vjp`.
    pub operation: &'static str,
    /// What was tried, in a few words.
    pub test: &'static str,
    pub verdict: Verdict,
    /// What was seen.
    pub found: String,
    /// What to do about it; empty where nothing is to be done.
    pub remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    /// Worth knowing, wrong only for some uses.
    Remark,
    Failed,
}

/// How long one call takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    pub operation: &'static str,
    pub batch: usize,
    pub ms: f64,
    pub images_per_second: f64,
}

/// What a self-test tells while it works.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// The plugin is loaded and has an instance on this device; so many findings and speeds are to come at most.
    Opened {
        plugin: &'a Inspection,
        description: &'a Description,
        device: &'a str,
        steps: u64,
    },
    /// This is about to be tried.
    Trying {
        operation: &'static str,
        test: &'static str,
    },
    Found(&'a Finding),
    Measured(&'a Speed),
}

/// Loads the plugin at `path`, whatever its hash is, makes instances with `config` and `weights`, and tries each of its
/// operations; `tell` hears of each as it comes. This runs the plugin's code on some hundred images. Nothing else should be at work
/// in this process meanwhile: what a plugin takes of the processor is measured for the whole process.
///
/// Fails when the plugin can't be loaded or set up, with the message that a run would give.
pub fn self_test(
    path: &Path,
    config: &serde_json::Value,
    weights: Option<&Path>,
    device: &Device,
    services: &Services,
    tell: &dyn Fn(Told<'_>),
) -> Result<SelfTest> {
    let file = PluginFile::read(&std::path::absolute(path)?)?;
    let plugin = Plugin::open(&file)?;
    let config = plugin::instance_config(config, weights)?;
    let make = |max_threads| {
        let services = Services { max_threads, ..services.clone() };
        plugin.instance(&config, device, services)
    };
    let instance = make(services.max_threads)?;
    let device = format!("{:?}", instance.device().location()).to_lowercase();
    let (inspection, description) = (plugin.inspection(), instance.description().clone());
    let (mut findings, mut speed) = (Vec::new(), Vec::new());
    let probes = Probe::all(plugin.manifest(), &description, instance.device())?;
    let steps = probes.len() as u64 * STEPS;
    tell(Told::Opened { plugin: &inspection, description: &description, device: &device, steps });
    for probe in probes {
        let subject = Subject { plugin: &plugin, make: &make, instance: &instance, probe: &probe, tell };
        let mut found = cases::answers(&subject);
        // Of an operation that doesn't work at all, nothing more can be said.
        if found.iter().all(|finding| finding.test != cases::SHAPES || finding.verdict != Verdict::Failed) {
            found.extend(load::under_load(&subject));
            let (measured, wrong) = load::speed(&subject);
            speed.extend(measured);
            found.extend(wrong);
        }
        findings.extend(found);
    }
    Ok(SelfTest { plugin: inspection, description, device, findings, speed })
}

/// What is tested: one operation of one instance.
struct Subject<'a> {
    plugin: &'a Plugin,
    /// Makes another instance that may keep so many threads busy.
    make: &'a (dyn Fn(usize) -> Result<Instance> + Sync),
    instance: &'a Instance,
    probe: &'a Probe,
    tell: &'a dyn Fn(Told<'_>),
}

impl Subject<'_> {
    /// One test. A call that fails in the middle of it is its finding.
    fn try_out(&self, test: &'static str, outcome: impl FnOnce(&Self) -> Result<Finding>) -> Finding {
        (self.tell)(Told::Trying { operation: self.probe.name(), test });
        let finding = outcome(self).unwrap_or_else(|error| {
            self.failed(test, error.to_string(), "this call must succeed: look for what the message names")
        });
        (self.tell)(Told::Found(&finding));
        finding
    }

    fn passed(&self, test: &'static str, found: impl Into<String>) -> Finding {
        self.finding(test, Verdict::Passed, found, "")
    }

    fn remark(&self, test: &'static str, found: impl Into<String>, remedy: &str) -> Finding {
        self.finding(test, Verdict::Remark, found, remedy)
    }

    fn failed(&self, test: &'static str, found: impl Into<String>, remedy: &str) -> Finding {
        self.finding(test, Verdict::Failed, found, remedy)
    }

    fn finding(&self, test: &'static str, verdict: Verdict, found: impl Into<String>, remedy: &str) -> Finding {
        Finding { operation: self.probe.name(), test, verdict, found: found.into(), remedy: remedy.into() }
    }
}
