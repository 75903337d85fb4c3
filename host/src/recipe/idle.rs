//! Keys that only count together with another: alone they would be passed over in silence.

use toml::de::DeTable;

use super::sources::Sources;
use super::tree::find;
use crate::{Error, Result};

/// A table, keys of it, and the key and the value of the same table without which they have no effect. That value is never the
/// default.
type Rule = (&'static str, &'static [&'static str], &'static str, &'static str);

const RULES: [Rule; 7] = [
    ("synth", &["eta"], "sampler", "ddim"),
    ("distill.loss", &["dkd-alpha", "dkd-beta"], "kind", "dkd"),
    ("distill.loss", &["dist-beta", "dist-gamma"], "kind", "dist"),
    ("distill.optimizer", &["momentum", "nesterov"], "kind", "sgd"),
    ("distill.optimizer", &["gamma", "milestones"], "schedule", "step"),
    ("train.optimizer", &["momentum", "nesterov"], "kind", "sgd"),
    ("train.optimizer", &["gamma", "milestones"], "schedule", "step"),
];

/// Fails where such a key is set in vain, whatever its value.
pub(super) fn check(tree: &DeTable<'_>, sources: &Sources<'_>) -> Result<()> {
    for (table, keys, with, value) in RULES {
        let at = |key: &str| find(tree, &format!("{table}.{key}"));
        if at(with).is_some_and(|found| found.get_ref().as_str() == Some(value)) {
            continue;
        }
        if let Some((key, found)) = keys.iter().find_map(|key| Some((key, at(key)?))) {
            let place = sources.place(Some(found.span()));
            return Err(Error::input(format!(
                "`{table}.{key}` {place} has an effect only with `{table}.{with} = \"{value}\"`: set that, or take it out"
            )));
        }
    }
    Ok(())
}
