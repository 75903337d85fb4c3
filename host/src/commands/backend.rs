//! `limbeck backend`: looks at plugins.

use std::path::Path;

use limbeck::backend::{Finding, SelfTest, Services, Verdict, inspect, inspect_linked, list, self_test};
use limbeck::progress::Progress;
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
        progress.data(format_args!(
            "{}  {:.1} MiB  {what}",
            file.path.display(),
            file.bytes as f64 / f64::from(1 << 20)
        ));
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
    let tested = self_test(&args.file, &config, weights.as_deref(), &device, &Services::default())?;
    if args.json {
        progress.data(serde_json::to_string(&tested).map_err(|error| Error::failed(error.to_string()))?);
    } else {
        tell(&tested, progress);
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

fn tell(tested: &SelfTest, progress: &Progress) {
    let (manifest, description) = (&tested.plugin.manifest, &tested.description);
    let size = description.input;
    let network = description.network.as_ref().map_or(String::new(), |network| format!("{network}, "));
    progress.data(format_args!(
        "plugin   {} {}, ABI {}, on {}",
        manifest.name, manifest.version, tested.plugin.abi, tested.device
    ));
    progress.data(format_args!("sha256   {}", tested.plugin.sha256));
    progress.data(format_args!(
        "network  {network}{} classes, images {}x{}x{}",
        description.classes, size.channels, size.height, size.width
    ));
    for Finding { operation, test, verdict, found, remedy } in &tested.findings {
        let verdict = match verdict {
            Verdict::Passed => "ok     ",
            Verdict::Remark => "remark ",
            Verdict::Failed => "FAILED ",
        };
        let remedy = if remedy.is_empty() { String::new() } else { format!(": {remedy}") };
        progress.data(format_args!("{verdict}  {operation}, {test}: {found}{remedy}"));
    }
    for speed in &tested.speed {
        progress.data(format_args!(
            "speed    {}, batch {}: {:.2} ms, {:.0} images/s",
            speed.operation, speed.batch, speed.ms, speed.images_per_second
        ));
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
