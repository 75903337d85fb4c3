//! Which command a recipe is for: told to those who give it to another.

use toml::de::{DeTable, DeValue};

const RUN: &str = "limbeck run";
const CLASSIFIER: &str = "limbeck train classifier";
const GENERATOR: &str = "limbeck train generator";

/// The command of the recipe in `tree`, where the `known` keys of one of its tables are those of another command.
pub fn other_command(tree: &DeTable<'_>, known: &[&str]) -> Option<&'static str> {
    let command = command(tree)?;
    let knows = |key: &str| known.contains(&key);
    let suits = match command {
        // `train` is a table of a whole recipe, and beside `test` one of [data]; the last two are keys of one training's [train].
        RUN => !knows("train") || knows("test"),
        CLASSIFIER => !knows("synth") && !knows("label-dropout"),
        _ => !knows("synth") && !knows("network"),
    };
    (!suits).then_some(command)
}

/// What a recipe must be for, by the tables that are in it.
fn command(tree: &DeTable<'_>) -> Option<&'static str> {
    if tree.contains_key("run") {
        return Some(RUN);
    }
    let DeValue::Table(train) = tree.get("train")?.get_ref() else { return None };
    match (train.contains_key("network"), train.contains_key("model") || train.contains_key("diffusion")) {
        (true, false) => Some(CLASSIFIER),
        (false, true) => Some(GENERATOR),
        _ => None,
    }
}
