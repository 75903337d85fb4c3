//! docs/recipe.md: its tables of keys are made from the comments of `host/src/config`, and this test holds them together.
//! `UPDATE_DOCS=1 cargo test --release --workspace --test recipe_reference` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

const SOURCES: [&str; 6] = ["run", "data", "teacher", "rounds", "distill", "train"];

/// What stands above is written by hand.
const MARK: &str = "<!-- From here on made from the comments in host/src/config. -->\n";

/// A struct or an enum of the configuration, with its comment.
struct Item {
    name: String,
    about: String,
    members: Vec<Member>,
}

/// A key, or a value that a key can have.
struct Member {
    name: String,
    /// Empty for values.
    kind: String,
    about: String,
}

/// Items of a source file: structs that are tables of a recipe, and enums.
fn items(source: &str) -> Vec<Item> {
    let (mut items, mut about) = (Vec::<Item>::new(), String::new());
    let mut open = false;
    for line in source.lines() {
        let text = line.trim();
        if let Some(comment) = text.strip_prefix("///") {
            about += comment;
        } else if let Some(head) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) {
            let name = head.trim_end_matches(" {").to_owned();
            items.push(Item { name, about: std::mem::take(&mut about), members: Vec::new() });
            open = true;
        } else if line == "}" {
            open = false;
        } else if open && !text.starts_with("#[") && !text.is_empty() {
            let text = text.trim_end_matches(',');
            let (name, kind) = match text.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
                Some((name, kind)) => (name.replace('_', "-"), kind.to_owned()),
                None => (kebab(text), String::new()),
            };
            let item = items.last_mut().expect("a member stands in an item");
            item.members.push(Member { name, kind, about: std::mem::take(&mut about) });
        } else if !text.starts_with("#[") {
            about.clear();
        }
    }
    items
}

fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// A Rust type in TOML's words; `None` where it is a table of its own.
fn toml_type(kind: &str) -> Option<String> {
    let inner = |prefix: &str| kind.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(of) = inner("Option<") {
        return toml_type(of);
    }
    if let Some(of) = inner("Vec<") {
        return toml_type(of).map(|of| format!("list of {of}s"));
    }
    Some(match kind {
        "String" => "string".into(),
        "PathBuf" => "path".into(),
        "bool" => "boolean".into(),
        "u32" | "u64" | "usize" => "integer".into(),
        "f32" | "f64" => "number".into(),
        "Accuracy" => "number or list of numbers".into(),
        _ if kind.starts_with("serde_json::Map") => "table".into(),
        _ if kind.ends_with("Config") => return None,
        _ => "string".into(),
    })
}

fn tables() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let read = |name: &&str| items(&std::fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap());
    let items: Vec<Item> = SOURCES.iter().flat_map(read).collect();
    let mut page = String::new();
    // The tables of a recipe begin their comment with their name.
    let is_table = |item: &&Item| item.about.starts_with(" `") && item.members.iter().all(|key| !key.kind.is_empty());
    for item in items.iter().filter(is_table) {
        let about = item.about.trim().trim_end_matches('.');
        let (heading, about) = about.split_once(": ").unwrap_or((about, ""));
        write!(page, "\n## {heading}\n\n").unwrap();
        if let Some(first) = about.chars().next() {
            write!(page, "{}{}.\n\n", first.to_uppercase(), &about[first.len_utf8()..]).unwrap();
        }
        page += "| key | type | |\n|---|---|---|\n";
        let keys = item.members.iter().filter_map(|key| Some((key, toml_type(&key.kind)?)));
        for (key, kind) in keys {
            assert!(!key.about.is_empty(), "{}: `{}` has no comment", item.name, key.name);
            writeln!(page, "| `{}` | {kind} | {} |", key.name, key.about.trim()).unwrap();
        }
        for key in &item.members {
            let name = key.kind.trim_start_matches("Option<").trim_end_matches('>');
            let values = items.iter().filter(|item| item.name == name).flat_map(|item| &item.members);
            let values: Vec<_> = values.filter(|value| value.kind.is_empty() && !value.about.is_empty()).collect();
            if !values.is_empty() {
                write!(page, "\nValues of `{}`:\n\n", key.name).unwrap();
                values.iter().for_each(|value| writeln!(page, "- `{}`: {}", value.name, value.about.trim()).unwrap());
            }
        }
    }
    page
}

#[test]
fn every_key_is_in_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipe.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (by_hand, found) = page.split_once(MARK).expect("docs/recipe.md has its mark");
    let expected = tables();
    for table in ["[run]", "[data]", "[synth]", "[teacher]", "[distill.loss]", "[limits]", "[train.model]"] {
        assert!(expected.contains(&format!("## `{table}`")), "{table}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{by_hand}{MARK}{expected}")).unwrap();
    } else {
        assert!(found == expected, "docs/recipe.md is out of date: see the head of this file");
    }
}
