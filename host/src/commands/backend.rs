//! `limbeck backend`: looks at plugins.

use std::path::Path;

use limbeck::backend::{Finding, Level, Services, Speed, Told, Verdict, inspect, inspect_linked, list, self_test};
use limbeck::progress::{Bar, Progress, bytes_text, rate_text};
use limbeck::words::image_shape;
use limbeck::{Error, Result};
use limbeck_candle::CandleClassifier;
use serde_json::{Map, Value, json};

use crate::cli::{BackendCheckArgs, BackendCommand, BackendListArgs};

pub fn backend(command: &BackendCommand, progress: &Progress) -> Result<()> {
    match command {
        BackendCommand::List(args) => list_all(args, progress),
        BackendCommand::Inspect { file } => show(file, progress),
        BackendCommand::Check(args) => check(args, progress),
        BackendCommand::Bench(args) => super::bench_backend::bench(args, progress),
    }
}

/// One line a file, and one for what is linked in.
fn list_all(args: &BackendListArgs, progress: &Progress) -> Result<()> {
    let (found, linked) = (list(&args.folder)?, inspect_linked::<CandleClassifier>()?.manifest);
    if args.json {
        progress.data(json!({ "plugins": found, "linked": [linked] }));
        return Ok(());
    }
    for file in &found {
        let what = match &file.unfit {
            None => format!("plugin, sha256 {}", file.sha256),
            Some(why) => format!("no plugin: {why}"),
        };
        progress.data(format_args!("{}  {}  {what}", file.path.display(), bytes_text(file.bytes)));
    }
    if found.is_empty() {
        progress.note(format_args!("no plugins in `{}`: `cargo xtask build` puts them there", args.folder.display()));
    }
    let operations = linked.operations.join(", ");
    progress.data(format_args!("{} {}  linked in for measurements: {operations}", linked.name, linked.version));
    Ok(())
}

/// Prints what a recipe needs to name a plugin: its manifest and its hash.
fn show(file: &Path, progress: &Progress) -> Result<()> {
    let inspection = inspect(file)?;
    let text = serde_json::to_string_pretty(&inspection).map_err(|error| Error::failed(error.to_string()))?;
    progress.data(text);
    Ok(())
}

/// Prints every finding of a self-test. Fails when one of them is a failure.
fn check(args: &BackendCheckArgs, progress: &Progress) -> Result<()> {
    let config = config_table(&args.config)?;
    let weights = args.weights.as_deref().map(std::path::absolute).transpose()?;
    let device = args.device.device.open()?;
    let bar = std::cell::OnceCell::new();
    let hear = |told: Told<'_>| {
        match told {
            Told::Opened { steps, .. } => drop(bar.set(progress.stage("check", steps, "tests"))),
            Told::Trying { operation, test } => show_bar(&bar, |bar| bar.message(format_args!("{operation}, {test}"))),
            Told::Found(_) | Told::Measured(_) => show_bar(&bar, |bar| bar.advance(1)),
        }
        if !args.json {
            tell(told, progress);
        }
    };
    let services = Services::telling(progress, "plugin says", Level::Debug);
    let tested = self_test(&args.file, &config, weights.as_deref(), &device, &services, &hear)?;
    drop(bar);
    if args.json {
        progress.data(serde_json::to_string(&tested).map_err(|error| Error::failed(error.to_string()))?);
    }
    match tested.failures() {
        0 => Ok(()),
        count => Err(Error::failed(format!(
            "plugin `{}` failed {count} of {} tests: each line that begins with FAILED says why, and what to do",
            tested.plugin.path,
            tested.findings.len()
        ))),
    }
}

fn show_bar(bar: &std::cell::OnceCell<Bar>, show: impl FnOnce(&Bar)) {
    bar.get().map_or((), show)
}

/// Each line as soon as it is known.
fn tell(told: Told<'_>, progress: &Progress) {
    match told {
        Told::Trying { .. } => {}
        Told::Opened { plugin, description, device, .. } => {
            let (manifest, size) = (&plugin.manifest, description.input);
            let network = description.network.as_ref().map_or(String::new(), |network| format!("{network}, "));
            let (name, version, abi) = (&manifest.name, &manifest.version, &plugin.abi);
            progress.data(format_args!("plugin   {name} {version}, ABI {abi}, on {device}"));
            progress.data(format_args!("sha256   {}", plugin.sha256));
            progress.data(format_args!(
                "network  {network}{} classes, images {}",
                description.classes,
                image_shape((size.channels, size.height, size.width))
            ));
        }
        Told::Found(Finding { operation, test, verdict, found, remedy }) => {
            let verdict = match verdict {
                Verdict::Passed => "ok     ",
                Verdict::Remark => "remark ",
                Verdict::Failed => "FAILED ",
            };
            let remedy = if remedy.is_empty() { String::new() } else { format!(": {remedy}") };
            progress.data(format_args!("{verdict}  {operation}, {test}: {found}{remedy}"));
        }
        Told::Measured(Speed { operation, batch, ms, images_per_second }) => {
            progress.data(format_args!(
                "speed    {operation}, batch {batch}: {ms:.2} ms, {} images/s",
                rate_text(*images_per_second)
            ));
        }
    }
}

/// `key=value` pairs, values in TOML or else texts, as a JSON table.
fn config_table(pairs: &[String]) -> Result<Value> {
    let mut table = Map::new();
    for pair in pairs {
        let wrong =
            || Error::input(format!("--config {pair}: expected key=value, such as `--config network=resnet18`"));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        let parsed = toml::from_str::<Map<String, Value>>(&format!("value = {value}")).ok();
        let value = parsed.and_then(|mut parsed| parsed.remove("value"));
        table.insert(key.trim().to_owned(), value.unwrap_or_else(|| pair[key.len() + 1..].trim().into()));
    }
    Ok(table.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_takes_toml_or_a_bare_text() {
        let pairs = ["network=resnet18", "std=[0.5, 0.25]", "classes = 7"].map(str::to_owned);
        let expected = json!({ "network": "resnet18", "std": [0.5, 0.25], "classes": 7 });
        assert_eq!(config_table(&pairs).unwrap(), expected);
        assert_eq!(config_table(&["fast".to_owned()]).unwrap_err().exit_code(), 2);
    }
}
