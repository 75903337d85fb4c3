//! Where a key belongs that stands in the wrong table.

use serde::de::DeserializeOwned;

/// More places than these are no hint.
const MOST: usize = 3;

/// The keys of a recipe of type `T` that have the last name of `typed` in other tables: those below the table that was typed, or
/// else all.
pub(super) fn elsewhere<T: DeserializeOwned>(typed: &str) -> Vec<String> {
    let (table, name) = typed.rsplit_once('.').map_or(("", typed), |(table, name)| (table, name));
    let mut found = Vec::new();
    search::<T>("", name, &mut found);
    let below = found.iter().filter(|key| key.starts_with(&format!("{table}."))).cloned().collect::<Vec<_>>();
    let hints = if below.is_empty() { found } else { below };
    if hints.len() > MOST { Vec::new() } else { hints }
}

fn search<T: DeserializeOwned>(table: &str, name: &str, found: &mut Vec<String>) {
    for field in fields::<T>(table) {
        let key = if table.is_empty() { field.clone() } else { format!("{table}.{field}") };
        search::<T>(&key, name, found);
        if field == name {
            found.push(key);
        }
    }
}

/// The keys of a table, as the deserialiser tells them when it meets one that it doesn't know; none where there is no table.
fn fields<T: DeserializeOwned>(table: &str) -> Vec<String> {
    let probe = if table.is_empty() { "\"?\" = 0".to_owned() } else { format!("{table}.\"?\" = 0") };
    let message = toml::from_str::<T>(&probe).err().map_or(String::new(), |error| error.message().to_owned());
    let known = message.strip_prefix("unknown field `?`").unwrap_or_default();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClassifierRecipe, Config};

    #[test]
    fn keys_are_found_in_other_tables() {
        let found = elsewhere::<Config>;
        assert_eq!(found("distill.mixup"), ["distill.augment.mixup"]);
        assert_eq!(found("distill.policy"), ["distill.weigher.policy"]);
        assert_eq!(found("synth.lr"), ["distill.optimizer.lr"]);
        assert_eq!(found("kind"), ["distill.loss.kind", "distill.optimizer.kind"]);
        assert_eq!(found("distill.colour"), [""; 0]);
        assert_eq!(found("run.config"), [""; 0], "it is in too many tables");
        assert_eq!(elsewhere::<ClassifierRecipe>("train.mixup"), ["train.augment.mixup"]);
    }
}
