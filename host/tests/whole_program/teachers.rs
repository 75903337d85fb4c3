//! Several teachers at once, and their answers kept, by the recipe alone.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use limbeck_models::checkpoint;

use crate::support::{finish, json, results, root, run};

const TWO: &str = r#"teacher=[
  { name = "strong", plugin = "../dist/plugins/libcandle_classifier.so", allow-unpinned = true, weights = "../assets/mnist/teacher-strong.safetensors", accuracy = 0.99 },
  { name = "in-c", plugin = "../dist/plugins/libc_mlp.so", allow-unpinned = true, weights = "../assets/mnist/teacher-weak.safetensors", classes = [1] },
]"#;

#[test]
fn two_teachers_at_once_whose_answers_are_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let out = |name: &str| scratch.path().join(name);
    // A tensor too many, of which the plugin warns.
    let mut strong = checkpoint::load(&root().join("assets/mnist/teacher-strong.safetensors")).unwrap();
    strong.tensors.insert("fc9\u{1b}.bias".into(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
    let entries = serde_json::from_str(&strong.metadata[checkpoint::METADATA_KEY]).unwrap();
    let weights = out("strong.safetensors");
    std::fs::write(&weights, checkpoint::to_bytes(&strong.tensors, &entries).unwrap()).unwrap();
    let kept = format!("distill.cache.folder={:?}", out("kept").display().to_string());
    let two =
        TWO.replace('\n', "").replace("../assets/mnist/teacher-strong.safetensors", &weights.display().to_string());
    let settings = [two.as_str(), "ensemble.combine=per-class", "distill.cache.variations=2", &kept];
    let told = String::from_utf8(finish(run(&out("first"), &settings)).stderr).unwrap();
    let warning = "warning: teacher `strong`: resnet8-half has no use for tensors of its checkpoint: fc9 .bias\n";
    assert_eq!(told.matches(warning).count(), 1, "once, though several stages open the teacher: {told}");
    let teacher = json(&out("first"), "eval.json")["teacher"].clone();
    assert_eq!(teacher["name"], "in-c + strong (chosen per class)");
    assert!(teacher["top1"].as_f64().unwrap() > 0.97, "{teacher}");
    let summary = json(&out("first"), "summary.json");
    assert!(summary["hashes"]["teacher.in-c.plugin"].is_string(), "{}", summary["hashes"]);
    let used = &summary["teacher_cache"];
    assert!(used["hits"].as_u64() > used["misses"].as_u64(), "four epochs of two variations, two seeds: {used}");

    // The same images and teachers again: nobody is asked, and the students are the same to the byte.
    finish(run(&out("second"), &settings));
    let used = json(&out("second"), "summary.json")["teacher_cache"].clone();
    assert_eq!(used["misses"], 0, "{used}");
    let student = Path::new("checkpoints/synthetic/seed-1/student.safetensors");
    assert!(results(&out("first"))[student] == results(&out("second"))[student]);
}
