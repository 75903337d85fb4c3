//! `plan.toml`: a plan as a file, read back through the same checks, and compared with another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::train::{check_classifier, check_generator};
use super::{ClassifierPlan, GeneratorTrainPlan, Input, Plan, check, files};
use crate::{Error, Result};

/// How every plan's file begins; its kind follows.
const HEAD: &str = "# The plan of ";

/// Whether the text of a TOML file is the plan of something. Recipes have no such table.
pub fn is_plan(text: &str) -> bool {
    text.parse::<Table>().is_ok_and(|table| table.get("inputs").is_some_and(Value::is_table))
}

/// A plan of any kind, as it is kept in its run directory.
pub trait Document: Serialize + DeserializeOwned {
    /// What the head of the file says that it is.
    const KIND: &'static str;

    /// The files that it reads, by key.
    fn inputs(&self) -> &BTreeMap<String, Input>;

    /// The same files where they are used.
    fn files(&self) -> Vec<&Path>;

    /// Fails with [`Error::Input`] unless every number is in its range.
    fn check(&self) -> Result<()>;

    /// Fails where a file is named that no hash is known of: someone has changed a path.
    fn check_inputs(&self) -> Result<()> {
        let known = |path: &&Path| self.inputs().values().any(|input| input.path == **path);
        match self.files().into_iter().find(|path| !known(path)) {
            None => Ok(()),
            Some(path) => Err(Error::input(format!(
                "there is no hash of `{}` under `[inputs]`: a file that has moved must be named by its new path there too, and \
                 another one by a recipe",
                path.display()
            ))),
        }
    }

    /// Whether nothing that is done before the first student is trained depends on a key.
    fn is_of_students(&self, _key: &str) -> bool {
        false
    }

    /// Whether nothing that is done ever depends on a key: more or less is done, and nothing otherwise.
    fn is_of_more(&self, _key: &str) -> bool {
        false
    }

    /// The key as the recipe has it.
    fn in_recipe(key: &str) -> String {
        key.to_owned()
    }

    /// The text of `plan.toml`.
    fn to_toml(&self) -> Result<String> {
        let text = toml::to_string_pretty(self);
        let text = text.map_err(|error| Error::failed(format!("can't write the plan as TOML: {error}")))?;
        Ok(format!("{HEAD}{}: all that is needed to do it again.\n\n{text}", Self::KIND))
    }

    /// Of what this text of a `plan.toml` is the plan, where that is something else.
    fn other_kind(text: &str) -> Option<&str> {
        let (kind, _) = text.strip_prefix(HEAD)?.split_once(':')?;
        Some(kind).filter(|kind| *kind != Self::KIND)
    }

    /// Reads the text of a `plan.toml`; `shown` names it in errors.
    fn from_toml(text: &str, shown: &str) -> Result<Self> {
        let plan: Self = toml::from_str(text).map_err(|error| {
            Error::input(format!(
                "`{shown}` is not the plan of {}: {}: it was changed, or another version of limbeck wrote it",
                Self::KIND,
                error.message().replace('\n', ", ")
            ))
        })?;
        plan.check().map_err(|error| error.context(shown))?;
        Ok(plan)
    }

    /// The keys in which two plans differ. A file that moved but is the same to the byte makes no difference.
    fn differences(&self, other: &Self) -> Result<Vec<String>> {
        let (a, b) = (flat(self)?, flat(other)?);
        let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
        Ok(keys.into_iter().filter(|key| a.get(*key) != b.get(*key)).cloned().collect())
    }
}

impl Document for Plan {
    const KIND: &'static str = "a run";

    fn inputs(&self) -> &BTreeMap<String, Input> {
        &self.inputs
    }

    fn files(&self) -> Vec<&Path> {
        files::of_run(self)
    }

    fn check(&self) -> Result<()> {
        check::plan(self)
    }

    /// Grades and decisions are kept under a hash of all that they depend on, so these may change as well.
    fn is_of_students(&self, key: &str) -> bool {
        let table = key.split('.').next().unwrap_or_default();
        self.rounds.is_none() && ["teacher", "select", "limits", "distill", "baseline"].contains(&table)
    }

    /// The students of the baseline are beside the others, which don't depend on them; only the evaluation is done anew.
    fn is_of_more(&self, key: &str) -> bool {
        key.starts_with("baseline.")
    }
}

fn of_train(key: &str) -> String {
    if key.starts_with("data.") { key.to_owned() } else { format!("train.{key}") }
}

impl Document for ClassifierPlan {
    const KIND: &'static str = "a classifier's training";

    fn inputs(&self) -> &BTreeMap<String, Input> {
        &self.inputs
    }

    fn files(&self) -> Vec<&Path> {
        files::of_training(&self.start, &self.data)
    }

    fn check(&self) -> Result<()> {
        check_classifier(self)
    }

    fn in_recipe(key: &str) -> String {
        of_train(key)
    }
}

impl Document for GeneratorTrainPlan {
    const KIND: &'static str = "a generator's training";

    fn inputs(&self) -> &BTreeMap<String, Input> {
        &self.inputs
    }

    fn files(&self) -> Vec<&Path> {
        files::of_training(&self.start, &self.data)
    }

    fn check(&self) -> Result<()> {
        check_generator(self)
    }

    fn in_recipe(key: &str) -> String {
        of_train(key)
    }
}

/// Every value of a plan by its dotted key; paths of inputs are replaced by their hashes.
fn flat<D: Document>(plan: &D) -> Result<BTreeMap<String, Value>> {
    let mut tree =
        Table::try_from(plan).map_err(|error| Error::failed(format!("can't write the plan as TOML: {error}")))?;
    tree.remove("inputs");
    let hashes =
        plan.inputs().values().map(|input| (input.path.display().to_string(), input.sha256.as_str())).collect();
    let mut flat = BTreeMap::new();
    flatten("", &Value::Table(tree), &hashes, &mut flat);
    Ok(flat)
}

fn flatten(key: &str, value: &Value, hashes: &BTreeMap<String, &str>, flat: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&below, value, hashes, flat);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_str) => {
            for (i, value) in list.iter().enumerate() {
                flatten(&format!("{key}.{i}"), value, hashes, flat);
            }
        }
        Value::String(text) => {
            let text = hashes.get(text).map_or(text.as_str(), |hash| *hash);
            flat.insert(key.to_owned(), Value::from(text));
        }
        other => {
            flat.insert(key.to_owned(), other.clone());
        }
    }
}
