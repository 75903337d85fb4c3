//! Where the parts of a recipe come from: its file, and what was typed behind `--set`.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::tree::overlay;
use crate::{Error, Result};

/// The recipe and its overrides, laid out one behind the other so that one offset names a place in any of them.
pub(super) struct Sources<'a> {
    text: &'a str,
    pub shown: &'a str,
    sets: Vec<Set>,
}

/// One override.
pub(super) struct Set {
    pub raw: String,
    /// The override as TOML, behind as much white space as there is text before it.
    padded: String,
    start: usize,
    /// How many parts its key has.
    depth: usize,
    /// Whether there is no value: the key is to be as if the recipe did not have it.
    pub takes_out: bool,
}

impl<'a> Sources<'a> {
    pub fn new(text: &'a str, shown: &'a str, overrides: &[String]) -> Result<Self> {
        let mut start = text.len() + 1;
        let mut sets = Vec::with_capacity(overrides.len());
        for raw in overrides {
            let set = Set::new(raw, start)?;
            start = set.padded.len() + 1;
            sets.push(set);
        }
        Ok(Self { text, shown, sets })
    }

    /// The recipe with its overrides laid over it.
    pub fn tree(&self) -> Result<Spanned<DeTable<'_>>> {
        let syntax = |error: &toml::de::Error| {
            let place = self.place(error.span());
            Error::input(format!("not valid TOML {place}: {}", error.message().replace('\n', ", ")))
        };
        let mut tree = DeTable::parse(self.text).map_err(|error| syntax(&error))?;
        for set in &self.sets {
            let table = DeTable::parse(&set.padded).map_err(|error| syntax(&error))?;
            overlay(tree.get_mut(), table.into_inner(), set.depth, set)?;
        }
        Ok(tree)
    }

    /// `at recipes/mnist.toml:12:3`, or `in` the override as it was typed.
    pub fn place(&self, span: Option<Range<usize>>) -> String {
        let Some(span) = span else { return format!("at {}", self.shown) };
        if let Some(set) = self.sets.iter().rev().find(|set| span.start >= set.start) {
            return format!("in `--set {}`", set.raw);
        }
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("at {}:{line}:{column}", self.shown)
    }
}

impl Set {
    fn new(raw: &str, start: usize) -> Result<Self> {
        let shape = || Error::input(format!("--set {raw}: expected key=value, such as `--set distill.epochs=20`"));
        let (key, value) = raw.split_once('=').ok_or_else(shape)?;
        let (key, value) = (key.trim(), value.trim());
        let bare = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !key.split('.').all(bare) {
            return Err(shape());
        }
        let pad = " ".repeat(start);
        let as_toml = format!("{pad}{key} = {value}");
        let padded = match DeTable::parse(&as_toml) {
            Ok(_) => as_toml,
            Err(_) => format!("{pad}{key} = {}", toml::Value::from(value)),
        };
        let depth = key.split('.').count();
        Ok(Self { raw: raw.to_owned(), padded, start, depth, takes_out: value.is_empty() })
    }
}
