//! Reads a recipe: TOML text and `--set` overrides become a config, or an error that names file, line, key and remedy.

mod elsewhere;
mod idle;
mod kind;
mod sources;
mod tree;

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use self::elsewhere::elsewhere;
use self::kind::other_command;
use self::sources::Sources;
use self::tree::find;
use crate::spelling::meant;
use crate::{Error, Result};

/// Reads a recipe of type `T` from a file, with `key.path=value` overrides laid over it.
pub fn load<T: DeserializeOwned>(path: &Path, overrides: &[String]) -> Result<T> {
    let shown = path.display().to_string();
    if path.is_dir() {
        return Err(Error::input(format!(
            "recipe `{shown}` is a folder: name a TOML file, such as recipes/mnist.toml"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::input(format!("can't read recipe `{shown}`: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::input(format!("recipe `{shown}` is not text in UTF-8")))?;
    parse(&text, &shown, overrides)
}

/// Parses the text of a recipe; `shown` names it in errors.
///
/// A value of an override is TOML, or else a string: `run.name=trial` needs no quotes. Without a value the key is taken out.
/// Tables of a list are named as messages name them: `select.chain.0.keep=0.5`, `teacher.strong.weights=…`.
pub fn parse<T: DeserializeOwned>(text: &str, shown: &str, overrides: &[String]) -> Result<T> {
    let sources = Sources::new(text, shown, overrides)?;
    let tree = sources.tree()?;
    let deserializer = toml::de::Deserializer::from(tree.clone());
    let config = T::deserialize(deserializer).map_err(|error| explain::<T>(&error, tree.get_ref(), &sources))?;
    idle::check(tree.get_ref(), &sources)?;
    Ok(config)
}

/// Says where the key stands that an error begins with, such as `synth.steps`, if the recipe at `path` has it.
pub fn locate(error: Error, path: &Path, overrides: &[String]) -> Error {
    let located = |message: &str| {
        let (key, rest) = message.strip_prefix('`')?.split_once('`')?;
        let (text, shown) = (std::fs::read_to_string(path).ok()?, path.display().to_string());
        let sources = Sources::new(&text, &shown, overrides).ok()?;
        let tree = sources.tree().ok()?;
        let place = sources.place(Some(find(tree.get_ref(), key)?.span()));
        Some(format!("`{key}` {place}{rest}"))
    };
    match error {
        Error::Input(message) => Error::Input(located(&message).unwrap_or(message)),
        other => other,
    }
}

/// Puts an error of the deserialiser in the user's words.
fn explain<T: DeserializeOwned>(error: &toml::de::Error, tree: &DeTable<'_>, sources: &Sources<'_>) -> Error {
    let message = error.message();
    // The file as a whole has an empty span.
    let span = error.span().filter(|span| !span.is_empty());
    let key = span.as_ref().map(|span| key_at(tree, span)).unwrap_or_default();
    let place = sources.place(span);
    let quoted = between_backticks(message);
    let first = quoted.first().copied().unwrap_or_default();
    let known = quoted.get(1..).unwrap_or_default();
    Error::input(if message.starts_with("unknown field") {
        let remedy = match other_command(tree, known) {
            Some(command) => format!("the recipe is one of `{command}`: use that command"),
            None => suggestion(first, known, "keys", elsewhere::<T>(&key)),
        };
        format!("unknown key `{first}` {place}: {remedy}")
    } else if message.starts_with("unknown variant") {
        format!("unknown value `{first}` for `{key}` {place}: {}", suggestion(first, known, "values", Vec::new()))
    } else if message.starts_with("missing field") {
        let full = if key.is_empty() { first.to_owned() } else { format!("{key}.{first}") };
        let place = if key.is_empty() { format!("in {}", sources.shown) } else { place };
        format!("missing key `{full}` {place}: it has no default, so the recipe must set it")
    } else {
        format!("wrong value for `{key}` {place}: {}", plain_types(message))
    })
}

/// The dotted path of the innermost key whose name or value covers `span`; empty for the whole file.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> String {
    let covers = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end && !outer.is_empty();
    let mut found = String::new();
    for (key, value) in table {
        let name = key.get_ref();
        if let DeValue::Table(inner) = value.get_ref() {
            let below = key_at(inner, span);
            if !below.is_empty() {
                return format!("{name}.{below}");
            }
        }
        if covers(value.span()) || covers(key.span()) {
            found = name.to_string();
        }
    }
    found
}

fn between_backticks(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// `did you mean …?` for a near miss and for the same name `elsewhere`, otherwise all that is known.
fn suggestion(typed: &str, known: &[&str], what: &str, elsewhere: Vec<String>) -> String {
    let near = meant(typed, known.iter().copied());
    let meant: Vec<_> = near.into_iter().chain(elsewhere.iter().map(String::as_str)).collect();
    if !meant.is_empty() {
        format!("did you mean `{}`?", meant.join("` or `"))
    } else if known.is_empty() {
        format!("no {what} are known here")
    } else {
        format!("the {what} known here are {}", known.join(", "))
    }
}

/// Serde names Rust's types; users know numbers, texts and lists.
fn plain_types(message: &str) -> String {
    if message == "wanted string or table" {
        return "expected a text in quotes".to_owned();
    }
    let Some((found, expected)) = message.split_once(", expected ") else { return message.replace('\n', ", ") };
    let expected = match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a string" | "path string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    format!("expected {expected}, found {found}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Accuracy, ClassifierRecipe, Config, GeneratorRecipe, TeachersConfig};

    const RECIPE: &str = include_str!("../testdata/recipe.toml");

    /// What the user reads when `from` in the recipe is replaced by `to`.
    #[track_caller]
    fn complaint(from: &str, to: &str, overrides: &[&str]) -> String {
        assert!(RECIPE.contains(from), "the test recipe has no {from:?}");
        let overrides: Vec<_> = overrides.iter().map(|&set| set.to_owned()).collect();
        let result = parse::<Config>(&RECIPE.replacen(from, to, 1), "x.toml", &overrides);
        result.expect_err("the recipe is wrong").to_string()
    }

    #[track_caller]
    fn with(overrides: &[&str]) -> Config {
        let overrides: Vec<_> = overrides.iter().map(|&set| set.to_owned()).collect();
        parse(RECIPE, "x.toml", &overrides).unwrap()
    }

    #[test]
    fn the_recipe_parses() {
        let config = with(&[]);
        assert_eq!((config.run.name.as_str(), config.synth.steps, config.synth.batch), ("trial", 20, 100));
    }

    #[test]
    fn overrides_take_toml_or_a_bare_string() {
        let config = with(&[
            "distill.epochs=7",
            "run.name=other",
            "distill.optimizer.lr = 0.5",
            "distill.seeds=[1, 2]",
            "teacher.config={ deep = [1] }",
            "baseline.real=false",
        ]);
        assert_eq!((config.distill.epochs, config.run.name.as_str()), (7, "other"));
        assert_eq!(config.distill.optimizer.lr, 0.5);
        assert_eq!(config.distill.seeds, [1, 2]);
        let TeachersConfig::One(teacher) = config.teacher else { panic!("one teacher became several") };
        assert_eq!(teacher.config["deep"], serde_json::json!([1]));
        assert_eq!(config.baseline.map(|baseline| baseline.real), Some(false));
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest() {
        insta::assert_snapshot!(complaint("guidance", "guidence", &[]), @"unknown key `guidence` at x.toml:19:1: did you mean `guidance`?");
        insta::assert_snapshot!(complaint("[distill]", "[destil]", &[]), @"unknown key `destil` at x.toml:32:2: did you mean `distill`?");
        insta::assert_snapshot!(complaint("eta = 0.0", "colour = 1", &[]), @"unknown key `colour` at x.toml:20:1: the keys known here are images, sampler, steps, guidance, guided-channels, eta, batch, shard");
        insta::assert_snapshot!(complaint("", "", &["distill.optimiser.lr=1"]), @"unknown key `optimiser` in `--set distill.optimiser.lr=1`: did you mean `optimizer`?");
        insta::assert_snapshot!(complaint("", "", &["distill.mixup=0.2"]), @"unknown key `mixup` in `--set distill.mixup=0.2`: did you mean `distill.augment.mixup`?");
        insta::assert_snapshot!(complaint("", "", &["distill.seed=2"]), @"unknown key `seed` in `--set distill.seed=2`: did you mean `seeds` or `run.seed`?");
    }

    #[test]
    fn keys_without_an_effect_are_refused_whatever_their_value() {
        let none = "[distill.optimizer]\nlr = 0.01";
        let says = |keys: &str| complaint(none, &format!("{none}\n{keys}"), &[]);
        insta::assert_snapshot!(says("momentum = 0.9"), @r#"`distill.optimizer.momentum` at x.toml:38:12 has an effect only with `distill.optimizer.kind = "sgd"`: set that, or take it out"#);
        insta::assert_snapshot!(says("kind = \"adamw\"\nnesterov = false"), @r#"`distill.optimizer.nesterov` at x.toml:39:12 has an effect only with `distill.optimizer.kind = "sgd"`: set that, or take it out"#);
        insta::assert_snapshot!(says("gamma = 0.1"), @r#"`distill.optimizer.gamma` at x.toml:38:9 has an effect only with `distill.optimizer.schedule = "step"`: set that, or take it out"#);
        insta::assert_snapshot!(complaint("\"ddim\"", "\"ddpm\"", &[]), @r#"`synth.eta` at x.toml:20:7 has an effect only with `synth.sampler = "ddim"`: set that, or take it out"#);
        insta::assert_snapshot!(complaint("", "", &["distill.loss.dist-gamma=1.0"]), @r#"`distill.loss.dist-gamma` in `--set distill.loss.dist-gamma=1.0` has an effect only with `distill.loss.kind = "dist"`: set that, or take it out"#);
        with(&["distill.optimizer={ kind = \"sgd\", momentum = 0.9, schedule = \"step\", gamma = 0.1 }"]);
        with(&["synth.sampler=ddpm", "synth.eta="]);
    }

    #[test]
    fn missing_keys_are_named() {
        insta::assert_snapshot!(complaint("student = \"lenet5\"", "", &[]), @"missing key `distill.student` at x.toml:32:1: it has no default, so the recipe must set it");
        insta::assert_snapshot!(complaint("[run]\nname = \"trial\"\nseed = 3", "", &[]), @"missing key `run` in x.toml: it has no default, so the recipe must set it");
    }

    #[test]
    fn wrong_types_and_values_are_named() {
        insta::assert_snapshot!(complaint("steps = 20", "steps = \"many\"", &[]), @r#"wrong value for `synth.steps` at x.toml:18:9: expected a whole number, 0 or more, found string "many""#);
        insta::assert_snapshot!(complaint("steps = 20", "steps = -1", &[]), @"wrong value for `synth.steps` at x.toml:18:9: expected a whole number, 0 or more, found integer `-1`");
        insta::assert_snapshot!(complaint("\"ddim\"", "\"ddmi\"", &[]), @"unknown value `ddmi` for `synth.sampler` at x.toml:17:11: did you mean `ddim`?");
        insta::assert_snapshot!(complaint("\"ddim\"", "3", &[]), @"wrong value for `synth.sampler` at x.toml:17:11: expected a text in quotes");
        insta::assert_snapshot!(complaint("", "", &["synth.images=lots"]), @r#"wrong value for `synth.images` in `--set synth.images=lots`: expected a whole number, 0 or more, found string "lots""#);
        insta::assert_snapshot!(complaint("", "", &["synth=3"]), @"wrong value for `synth` in `--set synth=3`: expected a table, found integer `3`");
        insta::assert_snapshot!(complaint("", "", &["distill.seeds=[1, true]"]), @"wrong value for `distill.seeds` in `--set distill.seeds=[1, true]`: expected a whole number, 0 or more, found boolean `true`");
    }

    #[test]
    fn one_teacher_or_several() {
        let (before, rest) = RECIPE.split_once("[teacher]").unwrap();
        let after = &rest[rest.find("[select]").unwrap()..];
        let two = "[[teacher]]\nplugin = \"a.so\"\naccuracy = [0.5, 1]\n[[teacher]]\nplugin = \"b.so\"\naccuracy = 1\n";
        let config: Config = parse(&format!("{before}{two}{after}"), "x.toml", &[]).unwrap();
        let TeachersConfig::Several(teachers) = config.teacher else { panic!("several teachers became one") };
        assert_eq!(teachers.len(), 2);
        assert_eq!(teachers[0].accuracy, Some(Accuracy::Each(vec![0.5, 1.0])));
        assert_eq!(teachers[1].accuracy, Some(Accuracy::All(1.0)));
        insta::assert_snapshot!(complaint("", "", &["teacher=3"]), @"wrong value for `teacher` in `--set teacher=3`: expected a table [teacher], or tables [[teacher]], found integer `3`");
        insta::assert_snapshot!(complaint("allow-unpinned", "allow-unpined", &[]), @"unknown key `allow-unpined` at x.toml:24:1: did you mean `allow-unpinned`?");
        insta::assert_snapshot!(complaint("plugin = \"libteacher.so\"", "", &[]), @"missing key `teacher.plugin` at x.toml:22:1: it has no default, so the recipe must set it");
        let misspelt =
            parse::<Config>(&format!("{before}{}{after}", two.replacen("plugin", "plugim", 1)), "x.toml", &[]);
        insta::assert_snapshot!(misspelt.unwrap_err().to_string(), @"unknown key `plugim` at x.toml:23:1: did you mean `plugin`?");
    }

    #[test]
    fn broken_toml_and_overrides_are_named() {
        insta::assert_snapshot!(complaint("[synth]", "[synth", &[]), @"not valid TOML at x.toml:15:7: unclosed table, expected `]`");
        insta::assert_snapshot!(complaint("steps = 20", "images = 3", &[]), @"not valid TOML at x.toml:18:1: duplicate key");
        insta::assert_snapshot!(complaint("", "", &["epochs"]), @"--set epochs: expected key=value, such as `--set distill.epochs=20`");
        insta::assert_snapshot!(complaint("", "", &["run.name.first=x"]), @"--set run.name.first=x: `name` is a value, not a table of keys");
    }

    #[test]
    fn an_override_without_a_value_takes_the_key_out() {
        let config = with(&["select.keep=", "select.budget=5", "baseline=", "rounds.planner="]);
        assert_eq!((config.select.keep, config.select.budget, config.baseline), (None, Some(5), None));
        assert!(config.rounds.is_none());
        insta::assert_snapshot!(complaint("", "", &["synth.images="]), @"missing key `synth.images` at x.toml:15:1: it has no default, so the recipe must set it");
    }

    #[test]
    fn tables_of_a_list_are_overridden_by_name_or_place() {
        let (before, rest) = RECIPE.split_once("[teacher]").unwrap();
        let after = rest[rest.find("[select]").unwrap()..]
            .replace("policy = \"filter.wasm\"\nkeep = 0.5", "chain = [{ policy = \"a\" }, { policy = \"b\" }]");
        let text = format!(
            "{before}[[teacher]]\nname = \"strong\"\nplugin = \"a.so\"\n[[teacher]]\nplugin = \"b.so\"\n{after}"
        );
        let with = |sets: &[&str]| {
            let sets: Vec<_> = sets.iter().map(|&set| set.to_owned()).collect();
            parse::<Config>(&text, "x.toml", &sets)
        };
        let config = with(&["teacher.strong.weights=w", "teacher.2.name=x", "select.chain.1.keep=0.25"]).unwrap();
        let TeachersConfig::Several(teachers) = config.teacher else { panic!("several teachers became one") };
        assert_eq!(teachers[0].weights.as_deref(), Some(Path::new("w")));
        assert_eq!((teachers[1].name.as_deref(), config.select.chain[1].keep), (Some("x"), Some(0.25)));
        let says = |set: &str| with(&[set]).unwrap_err().to_string();
        assert_eq!(
            says("teacher.0.name=x"),
            "--set teacher.0.name=x: `teacher` is a list without `0`: there are strong, 2"
        );
        assert_eq!(says("select.chain.1="), "--set select.chain.1=: give the whole list `chain` without it instead");
    }

    #[test]
    fn errors_are_placed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), RECIPE).unwrap();
        let locate = |message: &str, sets: &[&str]| {
            let sets: Vec<_> = sets.iter().map(|&set| set.to_owned()).collect();
            let located = locate(Error::input(message), file.path(), &sets).to_string();
            located.replace(&file.path().display().to_string(), "x.toml")
        };
        assert_eq!(locate("`synth.steps` is 0", &[]), "`synth.steps` at x.toml:18:9 is 0");
        assert_eq!(locate("`synth.steps` is 0", &["synth.steps=0"]), "`synth.steps` in `--set synth.steps=0` is 0");
        for other in ["`synth.step` is 0", "no steps", "`a/b.so`: no"] {
            assert_eq!(locate(other, &[]), other);
        }
    }

    #[test]
    fn the_other_kind_of_recipe_is_refused() {
        let classifier =
            "[train]\nname = \"t\"\nnetwork = \"mlp\"\nepochs = 1\n[data]\nformat = \"idx\"\nclasses = 2\n";
        let generator =
            classifier.replace("network = \"mlp\"", "model = { patch = 4, width = 8, depth = 1, heads = 1 }");
        let says = |result: Result<()>| result.unwrap_err().to_string();
        insta::assert_snapshot!(says(parse::<GeneratorRecipe>(RECIPE, "x.toml", &[]).map(drop)), @"unknown key `baseline` at x.toml:42:2: the recipe is one of `limbeck run`: use that command");
        insta::assert_snapshot!(says(parse::<Config>(classifier, "x.toml", &[]).map(drop)), @"unknown key `train` at x.toml:1:2: the recipe is one of `limbeck train classifier`: use that command");
        insta::assert_snapshot!(says(parse::<Config>(&generator, "x.toml", &[]).map(drop)), @"unknown key `train` at x.toml:1:2: the recipe is one of `limbeck train generator`: use that command");
        insta::assert_snapshot!(says(parse::<GeneratorRecipe>(classifier, "x.toml", &[]).map(drop)), @"unknown key `network` at x.toml:3:1: the recipe is one of `limbeck train classifier`: use that command");
        insta::assert_snapshot!(says(parse::<ClassifierRecipe>(&generator, "x.toml", &[]).map(drop)), @"unknown key `model` at x.toml:3:1: the recipe is one of `limbeck train generator`: use that command");
        let misspelt = classifier.replace("epochs", "epoch");
        insta::assert_snapshot!(says(parse::<ClassifierRecipe>(&misspelt, "x.toml", &[]).map(drop)), @"unknown key `epoch` at x.toml:4:1: did you mean `epochs`?");
    }
}
