//! A run directory as a real run leaves it, with made-up results: what the report is tested and looked at with.

use std::path::Path;

use serde_json::{Value, json};

use crate::data::{Split, load};
use crate::plan::{DataPlan, Files, Format};
use crate::pool::{Image, Provenance, Sample, write_shard};
use crate::run_dir::RunDir;

const IMAGES: u64 = 2_000;
const SHARD: u64 = 500;

/// A policy's reason that tries to break out of the page.
pub(super) const EVIL: &str = "</q><script>alert(1)</script><img src=x onerror='alert(2)'>";

/// Writes every file that the report reads. The drawn images are real test digits.
pub(super) fn write(root: &Path) -> RunDir {
    let run = RunDir::create(root).unwrap();
    std::fs::write(run.join("plan.toml"), PLAN).unwrap();
    let samples = samples();
    for (shard, samples) in samples.chunks(SHARD as usize).enumerate() {
        write_shard(&run, 0, shard as u32, samples).unwrap();
    }
    run.write_json("subset/round-000.json", &subset(&samples)).unwrap();
    run.write_json("subset/round-000-usage.json", &usage("teacher-filter", 20)).unwrap();
    run.write_json("eval.json", &judgement()).unwrap();
    run.write_json("summary.json", &summary()).unwrap();
    std::fs::write(run.join("metrics.jsonl"), metrics()).unwrap();
    for seed in 0..3 {
        let weights = samples.iter().map(|sample| 2.0 * noise(sample.id + seed).powi(2) + 0.3).collect::<Vec<_>>();
        let ids = samples.iter().map(|sample| sample.id).collect::<Vec<_>>();
        let name = format!("weights/synthetic-seed-{seed}.json");
        let usage = usage("confidence", 3_000);
        run.write_json(&name, &json!({"ids": ids, "mean_weight": weights, "policy": usage})).unwrap();
    }
    run
}

/// A number in 0..1 that looks random and never changes.
fn noise(key: u64) -> f64 {
    let mixed = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1_u64 << 53) as f64
}

fn samples() -> Vec<Sample> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/mnist");
    let file = |name: &str| dir.join(name);
    let test = Files::Idx { images: file("t10k-images-idx3-ubyte.gz"), labels: file("t10k-labels-idx1-ubyte.gz") };
    let digits = load(
        &DataPlan { format: Format::Idx, classes: 10, size: None, channels: 3, train: None, test: Some(test) },
        Split::Test,
        &crate::progress::Progress::new(crate::progress::Mode::Quiet),
    )
    .unwrap();
    let sample = |id: u64| {
        let class = digits.labels[id as usize];
        let image = Image { channels: 1, height: 28, width: 28, pixels: digits.image(id as usize).to_vec() };
        let sampler = "ddpm".to_owned();
        let provenance = Provenance { guidance: 2.0, steps: 50, sampler, ..Provenance::of_class(class) };
        Sample { id, class, image, provenance }
    };
    (0..IMAGES).map(sample).collect()
}

fn subset(samples: &[Sample]) -> Value {
    let decide = |sample: &Sample| {
        let chance = noise(sample.id * 7);
        let score = if chance < 0.12 { 0.7 * noise(sample.id) } else { 1.0 - 0.3 * noise(sample.id).powi(4) };
        let other = (sample.class + 1 + (noise(sample.id * 3) * 9.0) as u32) % 10;
        let seen = if chance < 0.05 { other } else { sample.class };
        let (kept, reason) = match () {
            () if sample.id == 42 => (false, EVIL.to_owned()),
            () if chance < 0.05 => (false, "the teacher sees another class".to_owned()),
            () if chance < 0.12 => (false, "the teacher is unsure: below 0.70".to_owned()),
            () => (true, "among the best by score".to_owned()),
        };
        json!({
            "id": sample.id, "class": sample.class, "kept": kept, "score": score, "reason": reason,
            "teacher_class": seen, "teacher_p_class": score,
        })
    };
    let decisions = samples.iter().map(decide).collect::<Vec<_>>();
    let kept = decisions.iter().filter(|one| one["kept"] == true).map(|one| one["id"].clone()).collect::<Vec<_>>();
    let policy = json!({"name": "teacher-filter", "version": "0.1.0", "sha256": "ab".repeat(32)});
    json!({"kept": kept, "decisions": decisions, "policy": policy})
}

fn usage(name: &str, calls: u64) -> Value {
    json!({
        "name": name, "version": "0.1.0", "sha256": "ab".repeat(32), "fuel": 920_000 * calls,
        "peak_memory_bytes": 1_310_720, "seconds": 0.0012 * calls as f64, "calls": calls,
    })
}

fn evaluation(accuracy: f64, seed: u64) -> Value {
    let mut confusion = vec![vec![0_u64; 10]; 10];
    for (class, row) in confusion.iter_mut().enumerate() {
        let total = 950 + (noise(class as u64) * 120.0) as u64;
        for wrong in 0..10 {
            let share = noise(class as u64 * 13 + wrong * 7).powi(3) * (1.0 - accuracy) * 0.55;
            row[wrong as usize] = (share * total as f64 * (0.8 + 0.4 * noise(seed + wrong))) as u64;
        }
        row[class] = 0;
        row[class] = total - row.iter().sum::<u64>();
    }
    let total = confusion.iter().flatten().sum::<u64>();
    let right = (0..10).map(|class| confusion[class][class]).sum::<u64>();
    let per_class = confusion.iter().enumerate().map(|(i, row)| row[i] as f64 / row.iter().sum::<u64>() as f64);
    let per_class = per_class.collect::<Vec<_>>();
    json!({
        "seed": seed, "network": "lenet5", "sha256": "cd".repeat(32), "images": total, "top1": right as f64 / total as f64,
        "top5": 0.9991, "per_class": per_class, "confusion": confusion,
    })
}

fn judgement() -> Value {
    let arm = |accuracy: f64, first: u64| {
        let students = (0..3).map(|seed| evaluation(accuracy + 0.004 * noise(first + seed), seed)).collect::<Vec<_>>();
        let tops = students.iter().map(|one| one["top1"].as_f64().unwrap()).collect::<Vec<_>>();
        let mean = tops.iter().sum::<f64>() / 3.0;
        let std = (tops.iter().map(|top| (top - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        json!({"seeds": 3, "top1": {"mean": mean, "std": std}, "top5": {"mean": 0.9991, "std": 0.0001}, "students": students})
    };
    let mut teacher = evaluation(0.994, 9);
    teacher["name"] = "candle-classifier".into();
    teacher["version"] = "0.1.0".into();
    json!({"teacher": teacher, "arms": {"synthetic": arm(0.975, 5), "real": arm(0.981, 50)}})
}

fn metrics() -> String {
    let mut lines = String::new();
    for (arm, floor, top) in [("synthetic", 0.06, 0.978), ("real", 0.05, 0.984)] {
        for seed in 0..3_u64 {
            for step in (10..=3_000_u64).step_by(10) {
                let time = step as f64 / 3_000.0;
                let wobble = 0.75 + 0.5 * noise(step * 3 + seed + u64::from(arm == "real") * 999);
                let loss = (floor + 3.0 * (-12.0 * time).exp() + 0.1 * (1.0 - time)) * wobble;
                let mut line =
                    json!({"arm": arm, "seed": seed, "step": step, "epoch": step / 30, "loss": loss, "lr": 0.001});
                if step % 100 == 0 {
                    line["accuracy"] = (top - 0.5 * (-22.0 * time).exp() - 0.01 * (1.0 - time) * wobble).into();
                }
                lines += &format!("{line}\n");
            }
        }
    }
    lines
}

fn summary() -> Value {
    json!({
        "seconds": {"synth": 148.2, "select": 9.6, "distill": 131.9, "eval": 12.4},
        "device": "cpu",
        "threads": 2,
        "teacher_cache": {"hits": 7500, "misses": 2500, "seconds_asking": 10.0, "seconds_saved": 29.5, "bytes": 1_200_000},
    })
}

const PLAN: &str = r#"[run]
name = "mnist"
seed = 0

[data]
format = "idx"
classes = 10

[generator]
weights = "/data/limbeck/assets/mnist/dit.safetensors"

[synth]
images = 2000
sampler = "ddpm"
steps = 50
guidance = 2.0
batch = 100
shard = 500

[teacher]
plugin = "/data/limbeck/dist/plugins/libcandle_classifier.so"
allow-unpinned = true

[select]
policy = "/data/limbeck/dist/policies/teacher-filter.wasm"
keep = { fraction = 0.9 }

[distill]
student = "lenet5"
epochs = 100
batch = 64
temperature = 4.0
seeds = [0, 1, 2]

[inputs."data.test.images"]
path = "/data/limbeck/assets/mnist/t10k-images-idx3-ubyte.gz"
sha256 = "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be"
bytes = 1616508

[inputs."generator.weights"]
path = "/data/limbeck/assets/mnist/dit.safetensors"
sha256 = "5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592"
bytes = 5812344

[inputs."select.policy"]
path = "/data/limbeck/dist/policies/teacher-filter.wasm"
sha256 = "abababababababababababababababababababababababababababababababab"
bytes = 84120

[inputs."teacher.plugin"]
path = "/data/limbeck/dist/plugins/libcandle_classifier.so"
sha256 = "efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef"
bytes = 9183416
"#;
