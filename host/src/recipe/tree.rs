//! A recipe as a tree of keys: overrides are laid over it, and keys are found in it.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::sources::Set;
use crate::{Error, Result};

/// Puts the one value in `from`, `depth` tables down, into `into`, or takes out what is there.
pub(super) fn overlay<'i>(into: &mut DeTable<'i>, from: DeTable<'i>, depth: usize, set: &Set) -> Result<()> {
    for (key, value) in from {
        let name = key.get_ref().to_string();
        match (into.get_mut(name.as_str()), depth) {
            (Some(old), 2..) => below(old.get_mut(), value.into_inner(), depth - 1, &name, set)?,
            (None, 2..) if set.takes_out => {}
            _ => {
                into.remove(name.as_str());
                if !set.takes_out {
                    into.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

/// The same in `old`, which is called `name`.
fn below<'i>(old: &mut DeValue<'i>, new: DeValue<'i>, depth: usize, name: &str, set: &Set) -> Result<()> {
    let raw = &set.raw;
    let DeValue::Table(new) = new else { return Err(Error::input(format!("--set {raw}: `{name}` is no table"))) };
    let list = match old {
        DeValue::Table(old) => return overlay(old, new, depth, set),
        DeValue::Array(list) => list,
        _ => return Err(Error::input(format!("--set {raw}: `{name}` is a value, not a table of keys"))),
    };
    for (key, value) in new {
        let part: &str = key.get_ref();
        let parts = parts(name, list);
        let found = parts.iter().position(|known| known == part).and_then(|at| list.get_mut(at));
        let Some(old) = found else {
            let known = parts.join(", ");
            return Err(Error::input(format!("--set {raw}: `{name}` is a list without `{part}`: there are {known}")));
        };
        match depth {
            2.. => below(old.get_mut(), value.into_inner(), depth - 1, part, set)?,
            _ if set.takes_out => {
                return Err(Error::input(format!("--set {raw}: give the whole list `{name}` without it instead")));
            }
            _ => *old = value,
        }
    }
    Ok(())
}

/// What the parts of a list are called in messages: teachers by their name, or else by their place from 1, all others by their
/// place from 0.
fn parts(list: &str, of: &[Spanned<DeValue<'_>>]) -> Vec<String> {
    let teachers = list == "teacher";
    let called = |(at, part): (usize, &Spanned<DeValue<'_>>)| match part.get_ref() {
        DeValue::Table(table) if teachers => {
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            name.map_or_else(|| (at + 1).to_string(), str::to_owned)
        }
        _ => at.to_string(),
    };
    of.iter().enumerate().map(called).collect()
}

/// The value of a dotted key, and where it stands.
pub(super) fn find<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    let (name, rest) = split(key);
    inside(name, table.get(name)?, rest)
}

fn inside<'t, 'i>(name: &str, value: &'t Spanned<DeValue<'i>>, rest: Option<&str>) -> Option<&'t Spanned<DeValue<'i>>> {
    let Some(rest) = rest else { return Some(value) };
    match value.get_ref() {
        DeValue::Table(table) => find(table, rest),
        DeValue::Array(list) => {
            let (part, rest) = split(rest);
            let at = parts(name, list).iter().position(|known| known == part)?;
            inside(part, &list[at], rest)
        }
        _ => None,
    }
}

fn split(key: &str) -> (&str, Option<&str>) {
    key.split_once('.').map_or((key, None), |(name, rest)| (name, Some(rest)))
}
