//! The invariants of ARCHITECTURE.md about who may name whom, checked on the text of the sources.

use std::path::{Path, PathBuf};

/// Stages meet in files of the run directory, never in each other's code.
const STAGES: &[&str] =
    &["planning", "synth", "select", "distill", "measure", "eval", "report", "train_classifier", "train_generator"];

/// What `config` may name of other crates, and nothing of this one.
const CONFIG_CRATES: &[&str] = &["std", "serde", "serde_json"];

/// What `plan` may name of other crates, and of this one: `config`, and what every module has (errors and hashes).
const PLAN_CRATES: &[&str] = &["std", "serde", "serde_json", "toml"];
const PLAN_MODULES: &[&str] = &["config", "hash", "Error", "Result", "Context"];

#[test]
fn the_sources_keep_the_import_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ is in the workspace");
    let mut complaints = Vec::new();
    let mut files = 0;
    for folder in ["host/src", "images/src", "models/src", "plugin-api", "plugins", "policies", "xtask/src"] {
        let sources = rust_files(&root.join(folder)).into_iter().map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            (path, text)
        });
        let sources: Vec<_> = sources.collect();
        let tests: Vec<_> = sources.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
        for (path, text) in sources.into_iter().filter(|(path, _)| !tests.contains(path)) {
            let shown = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
            complaints.extend(check(&shown, &text));
            files += 1;
        }
    }
    assert!(files > 20, "found only {files} source files in {}", root.display());
    assert!(complaints.is_empty(), "import rules of ARCHITECTURE.md are broken:\n{}", complaints.join("\n"));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "tests", "benches"].contains(&name.as_str()) {
            files.extend(rust_files(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}

/// The files of modules that are compiled for tests alone.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap_or_default();
    let is_root = ["mod", "lib", "main"].iter().any(|name| stem == *name);
    let folder = if is_root { path.with_file_name("") } else { path.with_extension("") };
    let declared = text.split("#[cfg(test)]\nmod ").skip(1).filter_map(|rest| rest.split_once(';'));
    let names = declared.map(|(name, _)| name).filter(|name| name.chars().all(is_word));
    names.map(|name| folder.join(format!("{name}.rs"))).collect()
}

/// Every rule that the file `shown` (a path from the root of the repository) breaks.
fn check(shown: &str, text: &str) -> Vec<String> {
    let code = without_tests(&without_comments_and_strings(text));
    let mut broken = Vec::new();
    let mut complain = |rule: String| broken.push(format!("{shown}: {rule}"));

    let may_be_unsafe = [
        "host/src/backend/",
        "plugin-api/backend/",
        "plugins/candle/src/cuda.rs",
        "plugins/onnx-runtime/src/",
        "models/src/ops/",
        "models/src/process.rs",
    ];
    // Plugins in Rust export their table through the macro, which is where the `unsafe` is.
    if has_word(&code, "unsafe") && !may_be_unsafe.iter().any(|folder| shown.starts_with(folder)) {
        complain(format!("`unsafe` belongs into {}", may_be_unsafe.join(", ")));
    }
    // Candle's convolutions and their gradients are slow: `ops::conv2d` alone falls back on them, on other devices.
    let convolutions = [".conv1d", ".conv2d", ".conv_transpose1d", ".conv_transpose2d", "candle_nn::conv"];
    if shown != "models/src/ops/conv/mod.rs" {
        for name in convolutions.iter().filter(|name| code.contains(**name)) {
            complain(format!("convolutions go through ops::conv2d, this names candle's `{name}`"));
        }
    }
    let Some(module) = shown.strip_prefix("host/src/") else { return broken };
    let depth = depth_of(module);
    let top = module.split(['/', '.']).next().unwrap_or_default();
    if top != "policy" && has_word(&code, "wasmtime") {
        complain("only policy/ names wasmtime".into());
    }
    if top != "backend" && has_word(&code, "libloading") {
        complain("only backend/ names libloading".into());
    }
    let prints = ["println!", "print!", "eprintln!", "eprint!", "dbg!", "stdout()", "stderr()"];
    if !["progress", "main"].contains(&top) {
        for printer in prints.iter().filter(|printer| has_word(&code, printer)) {
            complain(format!("only progress prints, this names `{printer}`"));
        }
    }
    let own = crate_modules(&code, depth);
    let other_crates = used_crates(&code);
    let allowed = |name: &String, list: &[&str]| list.contains(&name.as_str());
    if top == "config" {
        for name in own.iter().filter(|name| *name != "config") {
            complain(format!("config names nothing of this crate, this names `{name}`"));
        }
        for name in other_crates.iter().filter(|name| !allowed(name, CONFIG_CRATES)) {
            complain(format!("config imports only serde, this imports `{name}`"));
        }
    }
    if top == "plan" {
        for name in own.iter().filter(|name| *name != "plan" && !allowed(name, PLAN_MODULES)) {
            complain(format!("plan names only config, this names `{name}`"));
        }
        for name in other_crates.iter().filter(|name| !allowed(name, PLAN_CRATES)) {
            complain(format!("plan imports only serde and toml, this imports `{name}`"));
        }
    }
    if STAGES.contains(&top) {
        for name in own.iter().filter(|name| *name != top && allowed(name, STAGES)) {
            complain(format!("stage `{top}` imports stage `{name}`"));
        }
    }
    broken
}

/// How many `super::` lead from a file of host/src to the root of the crate.
fn depth_of(module: &str) -> usize {
    let parts = module.split('/').count();
    if module.ends_with("/mod.rs") { parts - 1 } else { parts }
}

/// Blanks out comments, strings and characters, so that words in them don't count.
fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if raw_string(rest) > 0 && !code.ends_with(is_word) => raw_string(rest),
            '"' => quoted(rest, '"'),
            '\'' if rest.len() > 2 && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) => {
                quoted(rest, '\'')
            }
            _ => 0,
        };
        if skipped > 0 {
            code.push(' ');
            rest = &rest[skipped..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// The length of the quoted text at the start of `rest`.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of the raw string at the start of `rest`, or 0 where there is none.
fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
}

/// Cuts off the unit tests, which stand at the end of a file.
fn without_tests(code: &str) -> String {
    let tests =
        code.find("#[cfg(test)]\nmod ").filter(|at| code[*at..].lines().nth(1).is_some_and(|l| l.contains('{')));
    code[..tests.unwrap_or(code.len())].to_owned()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && (!after.is_some_and(is_word) || word.ends_with(['!', ')']))
    })
}

/// What the code names right below the root of its crate: after `crate::`, or after enough `super::`.
fn crate_modules(code: &str, depth: usize) -> Vec<String> {
    let up = "super::".repeat(depth);
    let ends = |prefix: &str| code.match_indices(prefix).map(|(at, _)| at + prefix.len()).collect::<Vec<_>>();
    ends("crate::").into_iter().chain(ends(&up)).flat_map(|end| names(&code[end..])).collect()
}

/// The name at the start of a path, or the names in the braces that stand there: `a::b` gives a, `{a, b::c}` a and b.
fn names(path: &str) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut names, mut level, mut start) = (Vec::new(), 1, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            _ => {}
        }
        if level == 0 || (level == 1 && c == ',') {
            names.push(word(&group[start..at]));
            start = at + 1;
        }
        if level == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The other crates in `use` lines.
fn used_crates(code: &str) -> Vec<String> {
    let lines = code.lines().map(str::trim_start).map(|line| line.strip_prefix("pub ").unwrap_or(line));
    let crates = lines.filter_map(|line| line.strip_prefix("use ")).flat_map(names);
    let local = |name: &String| ["crate", "super", "self"].contains(&name.as_str());
    // A module's own `mod x; pub use x::*;` is no import.
    let own = |name: &String| code.contains(&format!("mod {name};"));
    crates.filter(|name| !local(name) && !own(name)).collect()
}

#[test]
fn the_checker_sees_violations() {
    let breaks = |file: &str, code: &str| !check(file, code).is_empty();
    let hit = [
        ("host/src/config/run.rs", "use toml::Value;"),
        ("host/src/config/run.rs", "use crate::plan::Plan;"),
        ("host/src/config/mod.rs", "pub use super::plan::Plan;"),
        ("host/src/plan/mod.rs", "fn f() { crate::run_dir::RunDir::open(p) }"),
        ("host/src/plan/make.rs", "use candle_core::Tensor;"),
        ("host/src/plan/make.rs", "use super::super::synth::draw;"),
        ("host/src/distill/mod.rs", "use crate::{Result, select::{Subset, run}};"),
        ("host/src/eval.rs", "let x = crate::report::html();"),
        ("host/src/distill/trainer.rs", "use wasmtime::Engine;"),
        ("host/src/policy/mod.rs", "libloading::Library::new(p)"),
        ("host/src/synth.rs", "fn f() { println!(\"x\") }"),
        ("host/src/commands/run.rs", "writeln!(std::io::stdout(), \"x\")"),
        ("host/src/policy/state.rs", "unsafe { f() }"),
        ("models/src/dit.rs", "unsafe fn f() {}"),
        ("models/src/classifier/layers.rs", "let y = x.conv2d(&w, 1, 1, 1, 1)?;"),
        ("host/src/distill/trainer.rs", "use candle_nn::conv::Conv2d;"),
    ];
    for (file, code) in hit {
        assert!(breaks(file, code), "{file}: {code}");
    }
}

#[test]
fn the_checker_passes_what_is_allowed() {
    let free = [
        ("host/src/config/run.rs", "use serde::Deserialize;\nuse super::DataConfig;\nuse std::path::PathBuf;"),
        ("host/src/config/mod.rs", "mod data;\npub use data::*; // use toml::Value;"),
        ("host/src/plan/make.rs", "use super::check;\nuse crate::config::Config;\nuse crate::{Error, Result};"),
        ("host/src/distill/mod.rs", "use crate::{Result, policy::{Weigher, select}};\n/// as [`crate::select`] does"),
        ("host/src/policy/mod.rs", "use wasmtime::Engine;"),
        ("host/src/synth.rs", "let text = \"unsafe println! wasmtime\"; let c = '\"'; let r = r#\"unsafe \" {\"#;"),
        ("host/src/synth.rs", "#[cfg(test)]\nmod tests {\n    use crate::eval::x;\n    println!();\n}"),
        ("models/src/classifier/layers.rs", "use crate::ops::conv2d; let y = conv2d(x, w, None, 1, 1, 1)?;"),
        ("models/src/ops/conv/kernels.rs", "unsafe fn f<'a>(x: &'a str) {}"),
    ];
    for (file, code) in free {
        assert_eq!(check(file, code), [""; 0], "{file}: {code}");
    }
}
