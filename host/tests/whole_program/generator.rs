//! A plugin under `[generator]`: it draws what the denoiser that is built in draws, and is held to its pin.

use std::path::Path;

use limbeck::pool::Pool;
use limbeck::run_dir::{RunDir, sha256_file};

use crate::support::{dist, finish, results, root, run};

const PLUGIN: &str = "generator.plugin=\"../dist/plugins/libcandle_dit.so\"";

#[test]
fn a_plugin_draws_what_the_built_in_denoiser_draws() {
    dist("plugins/libcandle_dit.so");
    let scratch = tempfile::tempdir().unwrap();
    let [built_in, plugin] = ["built-in", "plugin"].map(|name| scratch.path().join(name));
    finish(run(&built_in, &[]));
    let pin = sha256_file(&root().join("dist/plugins/libcandle_dit.so")).unwrap();
    let pinned = format!("generator.sha256=\"{pin}\"");
    // Half of it, then the rest: what is there is not drawn again.
    finish(run(&plugin, &[PLUGIN, &pinned]));
    let shard = plugin.join("pool/round-000/000001.tar");
    let first = std::fs::read(&shard).unwrap();
    std::fs::remove_file(&shard).unwrap();
    finish(run(&plugin, &[PLUGIN, &pinned]));
    assert_eq!(std::fs::read(&shard).unwrap(), first);

    let pool = |out: &Path| Pool::read(&RunDir::open(out).unwrap(), 0).unwrap().samples;
    let (mut drawn, expected) = (pool(&plugin), pool(&built_in));
    for sample in &mut drawn {
        assert_eq!(sample.provenance.plugin.take().as_deref(), Some(pin.as_str()));
    }
    assert_eq!(drawn, expected);
    let student = Path::new("checkpoints/synthetic/seed-0/student.safetensors");
    assert_eq!(results(&plugin)[student], results(&built_in)[student]);

    let other = run(&plugin, &[]).output().unwrap();
    let message = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(2) && message.contains("generator.plugin"), "{message}");
}

#[test]
fn a_plugin_that_draws_nothing_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    for (settings, part) in [
        (
            &["generator.plugin=\"../dist/plugins/libcandle_classifier.so\"", "generator.allow-unpinned=true"][..],
            "is no denoiser: it has `classify, vjp`, not `denoise`",
        ),
        (&[PLUGIN, "generator.allow-unpinned=true", "generator.config={ speed = 3 }"], "unknown field `speed`"),
        (
            &[
                PLUGIN,
                "generator.allow-unpinned=true",
                "generator.weights=\"../assets/mnist/teacher-weak.safetensors\"",
            ],
            "it is not a file that `limbeck train generator` wrote",
        ),
        (
            &[PLUGIN, "generator.allow-unpinned=true", "generator.train-steps=4", "generator.schedule=\"linear\""],
            "was trained with 4 steps, `synth.steps` is 6",
        ),
    ] {
        let output = run(&scratch.path().join("out"), settings).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && message.contains(part), "expected `{part}` in `{message}`");
    }
}
