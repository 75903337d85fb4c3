//! Every recipe on the page about teachers is one that the program and its plugins read.

use candle_core::Device;
use limbeck::backend::open_classifier;
use limbeck::config::{Config, TeachersConfig};
use limbeck::plan::PluginPlan;
use limbeck::recipe;
use serde_json::Value;

use crate::support::{built_library, plan, root};

/// The blocks of the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/teachers.md")).unwrap();
    let fence = format!("```{language}\n");
    let parts = page.split(&fence).skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// The recipe of the digits with a block laid over it; its teachers take the place of those of the recipe.
fn recipe_with(block: &str) -> Config {
    let text = std::fs::read_to_string(root().join("recipes/mnist.toml")).unwrap();
    let mut whole: toml::Table = text.parse().unwrap();
    let part: toml::Table = block.parse().unwrap_or_else(|error| panic!("{error} in\n{block}"));
    if part.contains_key("teacher") {
        whole.remove("teacher");
    }
    lay_over(&mut whole, part);
    recipe::parse(&whole.to_string(), "docs/teachers.md", &[]).unwrap_or_else(|error| panic!("{error} in\n{block}"))
}

fn lay_over(whole: &mut toml::Table, part: toml::Table) {
    for (key, value) in part {
        match (whole.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => drop(whole.insert(key, value)),
        }
    }
}

/// What a plugin says to a config whose weights aren't there: it has read all keys by then.
fn complaint(library: &str, config: Value) -> String {
    let plan = PluginPlan { weights: Some("/absent/weights".into()), config, ..plan(&built_library(library)) };
    open_classifier(&plan, &Device::Cpu).err().expect("there are no such weights").to_string()
}

#[test]
fn every_recipe_is_read_by_the_program_and_by_the_plugin_it_names() {
    let recipes = blocks("toml");
    assert!(recipes.len() >= 5, "{}", recipes.len());
    for block in recipes {
        let teachers = match recipe_with(&block).teacher {
            TeachersConfig::One(teacher) => vec![*teacher],
            TeachersConfig::Several(teachers) => teachers,
        };
        for teacher in teachers {
            let plugin = teacher.plugin.file_name().unwrap().to_string_lossy().into_owned();
            let library = match plugin.as_str() {
                "libcandle_classifier.so" => "candle_classifier",
                "libonnx.so" => "limbeck_onnx",
                _ => continue,
            };
            let complaint = complaint(library, Value::Object(teacher.config));
            assert!(complaint.contains("`/absent/weights`: No such file"), "{complaint} for\n{block}");
        }
    }
}

/// The page's command makes a plugin of the C teacher, which it says is short.
#[test]
fn the_c_teacher_is_compiled_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let commands = blocks("sh");
    let command = commands.iter().find(|block| block.starts_with("cc ")).expect("a command of the compiler");
    let command = command.replace("-o libc_mlp.so", &format!("-o '{}/libc_mlp.so'", folder.path().display()));
    let status = std::process::Command::new("sh").args(["-c", &command]).current_dir(root()).status().unwrap();
    assert!(status.success() && folder.path().join("libc_mlp.so").is_file(), "{command}");
    let opened = open_classifier(&plan(&folder.path().join("libc_mlp.so")), &Device::Cpu);
    let complaint = opened.err().expect("it has no weights").to_string();
    assert!(complaint.contains("it needs weights: name a file as `weights`, such as FILE.safetensors"), "{complaint}");
    let source = std::fs::read_to_string(root().join("plugins/c-mlp/mlp.c")).unwrap();
    assert!(source.lines().count() < 150, "{}", source.lines().count());
}
