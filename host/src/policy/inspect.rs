//! What a file is, for a person: role, version, imports, needs, and what doesn't fit.

use std::path::Path;
use std::sync::Arc;

use super::trial::{Trial, env, trial};
use super::{Limits, LogSink, Policy, PolicyError, PolicyInstance, Result, Sandbox};

/// What `limbeck policy check` shows of a policy that runs here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub roles: Vec<String>,
    /// The version of `limbeck:policy` that it was accepted under.
    pub interface: String,
    /// The interfaces that it imports. WASI is there in name only.
    pub imports: Vec<String>,
    /// The columns that it reads under the configuration given.
    pub needs: Vec<String>,
    /// The reasons for which it may drop an image.
    pub reasons: Vec<String>,
    pub sha256: String,
    pub bytes: u64,
    pub state_version: u32,
}

/// Opens a file and starts it with `config_json` for ten classes. The error says in words what doesn't fit.
pub fn inspect(path: &Path, config_json: &str) -> Result<Inspection> {
    let policy = Policy::open(&Sandbox::shared()?, path)?;
    let instance = policy.start(&env(config_json), 0, &Limits::default(), nobody())?;
    Ok(inspection(&policy, &instance))
}

/// The roles of a file and what it says of itself; where it wants a configuration, what it says to none. For lists.
pub fn brief(path: &Path) -> Result<(Vec<String>, String)> {
    let policy = Policy::open(&Sandbox::shared()?, path)?;
    let roles = policy.roles().iter().map(|role| role.name().to_owned()).collect();
    match policy.start(&env("{}"), 0, &Limits::default(), nobody()) {
        Ok(instance) => Ok((roles, instance.info().summary.clone())),
        Err(PolicyError::Refused { message, .. }) => Ok((roles, format!("wants a configuration: {message}"))),
        Err(error) => Err(error),
    }
}

/// A policy that passed everything that can be tried without a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    pub inspection: Inspection,
    /// What it says of a key that it can't know: the keys that it does, where it names them.
    pub parameters: Option<String>,
    pub trial: Trial,
}

/// As [`inspect`], and lets it play its roles on made-up images. What it logs goes to `log`.
pub fn check(path: &Path, config_json: &str, limits: &Limits, log: LogSink) -> Result<Checked> {
    let policy = Policy::open(&Sandbox::shared()?, path)?;
    let instance = policy.start(&env(config_json), 0, limits, log.clone())?;
    let inspection = inspection(&policy, &instance);
    let parameters = match policy.start(&env(r#"{"?": 0}"#), 0, limits, nobody()) {
        Err(PolicyError::Refused { message, .. }) => Some(message),
        _ => None,
    };
    Ok(Checked { inspection, parameters, trial: trial(&policy, config_json, limits, log)? })
}

fn inspection(policy: &Policy, instance: &PolicyInstance) -> Inspection {
    let (info, setup) = (instance.info(), instance.setup());
    Inspection {
        name: info.name.clone(),
        version: info.version.clone(),
        summary: info.summary.clone(),
        roles: policy.roles().iter().map(|role| role.name().to_owned()).collect(),
        interface: super::component::VERSION.to_owned(),
        imports: policy.imports().to_vec(),
        needs: setup.needs.clone(),
        reasons: setup.reasons.clone(),
        sha256: policy.sha256().to_owned(),
        bytes: policy.bytes(),
        state_version: info.state_version,
    }
}

fn nobody() -> LogSink {
    Arc::new(|_, _| {})
}
