//! Which file becomes which library.

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::Device;
use limbeck::Error;
use limbeck::backend::{Services, inspect, open_classifier, open_classifier_with};
use limbeck::plan::PluginPlan;

use crate::support::{Hostile, images, logits, plan};

#[track_caller]
fn refused(plan: &PluginPlan, part: &str) {
    let error = open_classifier(plan, &Device::Cpu).err().expect("it was opened");
    assert!(error.to_string().contains(part), "expected `{part}` in `{error}`");
    assert!(matches!(error, Error::Input(_)), "a wrong file is wrong input: {error:?}");
}

#[test]
fn only_a_file_named_by_its_whole_path() {
    let plugin = Hostile::new(&[]);
    refused(&plan(Path::new("libhostile.so")), "is not an absolute path");
    refused(&plan(Path::new("../libhostile.so")), "is not an absolute path");
    refused(&plan(&plugin.path().parent().unwrap().join("..").join("libhostile.so")), "libhostile.so`: No such file");
    refused(&plan(plugin.path().parent().unwrap()), "is not a file");
    refused(&plan(&plugin.path().with_file_name("absent.so")), "absent.so`: No such file");
}

#[test]
fn other_files_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin.so");
    let whole = std::fs::read(Hostile::new(&[]).path()).unwrap();
    let mut mangled = whole.clone();
    // The section and string tables are at the end; the loader needs the dynamic section in the middle.
    let middle = mangled.len() / 4;
    mangled[64..middle].fill(0);
    let mut foreign = whole.clone();
    foreign[18..20].copy_from_slice(&if cfg!(target_arch = "aarch64") { 62u16 } else { 183 }.to_le_bytes());
    let cases: [(&[u8], &str); 5] = [
        (&foreign, "this machine is"),
        (b"weights, maybe", "is not a shared library"),
        (b"\0asm\x0d\0\x01\0", "is a WebAssembly component, where a native plugin"),
        (&whole[..whole.len() / 2], "is cut off"),
        (&mangled, "plugin.so"),
    ];
    for (bytes, part) in cases {
        std::fs::write(&file, bytes).unwrap();
        refused(&plan(&file), part);
    }
}

#[test]
fn the_pin_decides() {
    let (plugin, other) = (Hostile::new(&[]), Hostile::new(&[("VALUE", "2.0f")]));
    let hash = inspect(&plugin.path()).unwrap().sha256;
    let pinned = |path: &Path, pin: Option<&str>, allow_unpinned| PluginPlan {
        sha256: pin.map(str::to_owned),
        allow_unpinned,
        ..plan(path)
    };
    let teacher = open_classifier(&pinned(&plugin.path(), Some(&hash), false), &Device::Cpu).unwrap();
    assert_eq!(teacher.info().sha256, hash);

    let wrong = "00".repeat(32);
    refused(&pinned(&plugin.path(), Some(&wrong), true), &wrong);
    refused(&pinned(&plugin.path(), Some(&wrong), true), &hash);
    refused(&pinned(&plugin.path(), None, false), &format!("write `sha256 = \"{hash}\"`"));

    // A link that leads elsewhere than when the recipe was written.
    let link = plugin.path().with_file_name("link.so");
    std::os::unix::fs::symlink(other.path(), &link).unwrap();
    refused(&pinned(&link, Some(&hash), false), "is not the file that the recipe pins");
}

#[test]
fn what_was_loaded_stays_whatever_becomes_of_the_file() {
    let plugin = Hostile::new(&[("VALUE", "3.0f")]);
    let teacher = plugin.open().unwrap();
    std::fs::write(plugin.path(), "gone").unwrap();
    assert_eq!(logits(teacher.as_ref(), &images(1)).unwrap(), [[3.0, 0.0, 0.0]]);
    refused(&plan(&plugin.path()), "is not a shared library");
}

#[test]
fn many_plugins_at_once_stay_apart() {
    let values = ["4.0f", "5.0f", "6.0f"];
    // A library that loads but is no plugin takes a place too.
    assert!(Hostile::new(&[("NAME", "nothing"), ("VALUE", "7.0f")]).open().is_err());
    let plugins: Vec<_> = values.iter().map(|value| Hostile::new(&[("VALUE", value)])).collect();
    let teachers: Vec<_> = plugins.iter().map(|plugin| plugin.open().unwrap()).collect();
    for (teacher, expected) in teachers.iter().zip([4.0, 5.0, 6.0]) {
        assert_eq!(logits(teacher.as_ref(), &images(1)).unwrap(), [[expected, 0.0, 0.0]]);
    }
    let again = plugins[0].open().unwrap();
    drop(teachers);
    assert_eq!(logits(again.as_ref(), &images(1)).unwrap(), [[4.0, 0.0, 0.0]]);
}

#[test]
fn an_instance_learns_folder_threads_and_config() {
    let body = "host->log(host->ctx, LIMBECK_LOG_WARN, host->plugin_dir), host->log(host->ctx, LIMBECK_LOG_INFO, config); \
                if (host->cancelled(host->ctx) || host->max_threads != 3) return 1";
    let plugin = Hostile::new(&[("CREATE", body)]);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let services = Services {
        log: Arc::new(move |level, line| sink.lock().unwrap().push(format!("{level:?} {line}"))),
        max_threads: 3,
        ..Services::default()
    };
    let config = serde_json::json!({"layers": 2});
    let plan = PluginPlan { weights: Some("/w.safetensors".into()), config, ..plan(&plugin.path()) };
    open_classifier_with(&plan, &Device::Cpu, services).unwrap();
    let folder = plugin.path().parent().unwrap().display().to_string();
    let config = r#"Info {"layers":2,"weights":"/w.safetensors"}"#;
    assert_eq!(*lines.lock().unwrap(), [format!("Warn {folder}"), config.to_owned()]);

    let unhashed = serde_json::json!({"weights": "/w.safetensors"});
    refused(
        &PluginPlan { config: unhashed, ..plan.clone() },
        "write it beside `plugin`, where the run hashes the file",
    );
    refused(&PluginPlan { config: "fast".into(), ..plan }, "`config` must be a table");
}

#[test]
fn inspecting_tells_hash_version_and_manifest() {
    let plugin = Hostile::new(&[]);
    let found = inspect(&plugin.path()).unwrap();
    assert_eq!((found.abi.as_str(), found.manifest.name.as_str(), found.sha256.len()), ("1.0", "hostile", 64));
    assert!(inspect(Path::new("Cargo.toml")).unwrap_err().to_string().contains("is not a shared library"));
}
