//! `limbeck policy`: makes, builds and looks at policies.

use std::path::{Path, PathBuf};

use limbeck::plan::{Keep, Plan};
use limbeck::policy::{self, Limits, brief, to_progress};
use limbeck::policy_project::{Language, Watch, build, create};
use limbeck::progress::Progress;
use limbeck::replay::{self, Request};
use limbeck::{Error, Result};

use super::kept::Kept;
use crate::cli::{PolicyCommand, PolicyLanguage, PolicyReplayArgs};

pub fn policy(command: &PolicyCommand, progress: &Progress) -> Result<()> {
    match command {
        PolicyCommand::List { folder } => list(folder, progress),
        PolicyCommand::Check { file, config } => check(file, &config_json(&config.config)?, progress),
        PolicyCommand::New { lang, folder } => new(*lang, folder, progress),
        PolicyCommand::Build { folder, out } => {
            progress.data(build(folder, out)?.display());
            Ok(())
        }
        PolicyCommand::Replay { file, replay } => self::replay(file, replay, progress),
        PolicyCommand::Dev { folder, out, replay } => dev(folder, out, replay, progress),
    }
}

/// The policies in a folder, one a line; a file that is none is named on stderr.
fn list(folder: &Path, progress: &Progress) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Error::input(format!("can't read `{}`: {error}: build policies with `limbeck policy build`", folder.display()))
    })?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match brief(&file) {
            Ok((roles, summary)) => progress.data(format_args!("{stem:<24} {:<16} {summary}", roles.join(", "))),
            Err(error) => progress.warn(error),
        }
    }
    Ok(())
}

/// Says what a component is and what came of a trial. Every mismatch is an error in words.
fn check(file: &Path, config_json: &str, progress: &Progress) -> Result<()> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let log = to_progress(progress, &stem);
    let checked = policy::check(file, config_json, &Limits::default(), log)?;
    let found = &checked.inspection;
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let line = |name: &str, text: &str| progress.data(format_args!("{name:<10} {text}"));
    line("policy", &format!("{} {}: {}", found.name, found.version, found.summary));
    line("role", &list(&found.roles));
    line("interface", &found.interface);
    line("imports", &list(&found.imports));
    line("needs", &list(&found.needs));
    line("reasons", &list(&found.reasons));
    line("parameters", checked.parameters.as_deref().unwrap_or("it takes every key"));
    line("size", &format!("{} bytes", found.bytes));
    line("sha256", &found.sha256);
    checked.trial.lines.iter().for_each(|line| progress.data(line));
    line("used", &checked.trial.used.in_words());
    Ok(())
}

fn new(language: PolicyLanguage, folder: &Path, progress: &Progress) -> Result<()> {
    let language = match language {
        PolicyLanguage::Rust => Language::Rust,
        PolicyLanguage::C => Language::C,
        PolicyLanguage::Js => Language::JavaScript,
        PolicyLanguage::Python => Language::Python,
    };
    create(language, folder)?;
    let shown = folder.display();
    let first = match language {
        Language::Rust | Language::C => String::new(),
        Language::JavaScript => "`npm install` in it, then ".to_owned(),
        Language::Python => "a virtual environment `.venv` in it with requirements.txt, then ".to_owned(),
    };
    progress.note(format_args!("made `{shown}`; next: {first}`limbeck policy build {shown}`"));
    Ok(())
}

fn replay(file: &Path, args: &PolicyReplayArgs, progress: &Progress) -> Result<()> {
    let keep = args.keep.as_deref().map(keep).transpose()?;
    let config = match args.config.config.as_slice() {
        [] => None,
        pairs => Some(config(pairs)?),
    };
    let kept: Kept<Plan> = Kept::read(&args.run)?;
    let request = Request { policy: file.to_owned(), config, keep, round: args.round };
    let replay = replay::replay(&kept.plan, &kept.run, &request, progress)?;
    replay.lines().iter().for_each(|line| progress.data(line));
    if let Some(page) = &args.html {
        replay.write_page(&kept.run, page)?;
        progress.note(format_args!("wrote {}", page.display()));
    }
    Ok(())
}

/// What is wrong with the policy is said, and waited for to be put right.
fn dev(folder: &Path, out: &Path, args: &PolicyReplayArgs, progress: &Progress) -> Result<()> {
    Language::of(folder)?;
    let mut watch = Watch::new(folder);
    loop {
        let turn = build(folder, out).and_then(|component| replay(&component, args, progress));
        if let Err(error) = turn {
            progress.warn(error);
        }
        progress.note(format_args!("waiting for a change in `{}`", folder.display()));
        watch.wait();
    }
}

/// `500` images, or the share `0.5` of them.
fn keep(text: &str) -> Result<Keep> {
    let count = text.parse().ok().filter(|&count| count > 0).map(Keep::Count);
    let share = || text.parse().ok().filter(|&share| share > 0.0 && share <= 1.0).map(Keep::Fraction);
    count.or_else(share).ok_or_else(|| {
        Error::input(format!("`--keep {text}` is neither a count, such as 500, nor a share, such as 0.5"))
    })
}

fn config_json(pairs: &[String]) -> Result<String> {
    config(pairs).map(|config| config.to_string())
}

/// `["floor=0.2"]` → `{"floor": 0.2}`. A value that is no JSON is a string.
fn config(pairs: &[String]) -> Result<serde_json::Value> {
    let mut config = serde_json::Map::new();
    for pair in pairs {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::input(format!("`--config {pair}` has no value: write it as `--config KEY=VALUE`")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        config.insert(key.to_owned(), value);
    }
    Ok(serde_json::Value::Object(config))
}

#[cfg(test)]
mod tests {
    use super::config_json;

    #[test]
    fn keys_become_json() {
        let pairs = ["floor=0.2", "prefer=certain", "of=\"student\""].map(str::to_owned);
        let json: serde_json::Value = serde_json::from_str(&config_json(&pairs).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!({ "floor": 0.2, "prefer": "certain", "of": "student" }));
        assert_eq!(config_json(&["floor".to_owned()]).unwrap_err().exit_code(), 2);
        assert_eq!(config_json(&[]).unwrap(), "{}");
    }
}
