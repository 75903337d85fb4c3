//! What a policy used, as summaries and reports show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::progress::counted;

/// What a policy used, for the summary and the report of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyUse {
    pub name: String,
    pub version: String,
    /// Of the file.
    pub sha256: String,
    pub calls: u64,
    /// Units over all calls.
    pub fuel: u64,
    pub peak_memory_bytes: u64,
    /// Bytes of columns that it read.
    pub lent_bytes: u64,
    /// On the wall, over all calls.
    pub seconds: f64,
    /// The figures that it gave itself.
    pub metrics: BTreeMap<String, f64>,
}

/// Which policy it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyId {
    pub name: String,
    pub version: String,
    /// Of the file.
    pub sha256: String,
}

impl PolicyUse {
    /// Whose use it is.
    pub fn id(&self) -> PolicyId {
        PolicyId { name: self.name.clone(), version: self.version.clone(), sha256: self.sha256.clone() }
    }

    /// For a line on the terminal.
    pub fn in_words(&self) -> String {
        let mib = self.peak_memory_bytes as f64 / f64::from(1 << 20);
        format!("{} units of fuel in {}, {mib:.1} MiB", self.fuel, counted(self.calls as usize, "call"))
    }

    /// What several policies used that work side by side, under their joined names.
    pub fn together(all: &[Self]) -> Self {
        let joined = |of: fn(&Self) -> &str| all.iter().map(of).collect::<Vec<_>>().join(" × ");
        let mut sum = Self {
            name: joined(|one| &one.name),
            version: joined(|one| &one.version),
            sha256: crate::hash::sha256_bytes(joined(|one| &one.sha256).as_bytes()),
            ..Self::default()
        };
        all.iter().for_each(|one| sum.add(one));
        sum.peak_memory_bytes = all.iter().map(|one| one.peak_memory_bytes).sum();
        sum
    }

    /// Adds what the same policy used elsewhere. The figures that it gave are dropped: their means over trainings of unlike
    /// length would say little.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.fuel += other.fuel;
        self.lent_bytes += other.lent_bytes;
        self.seconds += other.seconds;
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
        self.metrics.clear();
    }
}
