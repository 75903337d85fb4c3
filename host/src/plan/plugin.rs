//! Plugins in the plan: the teachers', and a generator's.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::PluginPlan;
use super::inputs::Inputs;
use super::magic::Kind;
use crate::{Error, Result};

/// What a table of the recipe says of a plugin.
pub(super) struct Wanted {
    pub path: PathBuf,
    pub sha256: Option<String>,
    pub allow_unpinned: bool,
    pub weights: Option<PathBuf>,
    pub config: Map<String, Value>,
}

/// Looks up a plugin and its weights, whose table in the recipe is `key`, and holds the plugin against its pin.
pub(super) fn plugin(key: &str, wanted: Wanted, inputs: &mut Inputs) -> Result<PluginPlan> {
    let input = format!("{key}.plugin");
    let plugin = inputs.add(&input, &wanted.path, Kind::Plugin)?;
    let actual = inputs.sha256(&input).unwrap_or_default().to_owned();
    let shown = plugin.display();
    let sha256 = match wanted.sha256.map(|pin| pin.to_ascii_lowercase()) {
        None if !wanted.allow_unpinned => {
            return Err(Error::input(format!(
                "plugin `{shown}` is not pinned: set `{key}.sha256 = \"{actual}\"`, or `{key}.allow-unpinned = true` to load whatever is there"
            )));
        }
        Some(pin) if pin.len() != 64 || !pin.chars().all(|digit| digit.is_ascii_hexdigit()) => {
            return Err(Error::input(format!(
                "`{key}.sha256` is `{pin}`, not a SHA-256: 64 hexadecimal digits, as `limbeck backend inspect` prints them"
            )));
        }
        Some(pin) if pin != actual => {
            return Err(Error::input(format!(
                "plugin `{shown}` has the SHA-256 {actual}, but `{key}.sha256` is {pin}: it is another file than the recipe means; if it is the right one, change `{key}.sha256`"
            )));
        }
        pin => pin,
    };
    let weights = wanted.weights.map(|path| inputs.add(&format!("{key}.weights"), &path, Kind::File)).transpose()?;
    Ok(PluginPlan {
        plugin,
        sha256,
        allow_unpinned: wanted.allow_unpinned,
        weights,
        config: Value::Object(wanted.config),
    })
}
