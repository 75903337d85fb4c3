//! What a file is, for a person: role, version, imports, needs, and what doesn't fit.

use std::path::Path;
use std::sync::Arc;

use super::{Env, Limits, Policy, Result, Sandbox};

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
    pub state_version: u32,
}

/// Opens a file and starts it with `config_json` for ten classes. The error says in words what doesn't fit.
pub fn inspect(path: &Path, config_json: &str) -> Result<Inspection> {
    let policy = Policy::open(&Sandbox::new()?, path)?;
    let env = Env { config_json: config_json.to_owned(), classes: 10, feature_dim: 0, total_steps: 0 };
    let instance = policy.start(&env, 0, &Limits::default(), Arc::new(|_, _| {}))?;
    let (info, setup) = (instance.info(), instance.setup());
    Ok(Inspection {
        name: info.name.clone(),
        version: info.version.clone(),
        summary: info.summary.clone(),
        roles: policy.roles().iter().map(|role| role.name().to_owned()).collect(),
        interface: super::component::VERSION.to_owned(),
        imports: policy.imports().to_vec(),
        needs: setup.needs.clone(),
        reasons: setup.reasons.clone(),
        sha256: policy.sha256().to_owned(),
        state_version: info.state_version,
    })
}
