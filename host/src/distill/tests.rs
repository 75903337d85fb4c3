//! A whole distillation of toy images, broken off at many points, and what it refuses.

mod mixed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::Tensor;
use tempfile::TempDir;

use super::*;
use crate::backend::Grades;
use crate::plan::{DistillPlan, Document as _, Files, RoundsPlan, TemperatureUnit};
use crate::policy::{PolicyUse, StepColumns};
use crate::pool::{Image, Provenance, Sample, write_shard};
use crate::progress::Mode;

const SIDE: usize = 6;
const IMAGES: u64 = 40;

/// Class 0 is bright on the left, class 1 on the right.
fn pixels(id: u64) -> Vec<u8> {
    let bright = |i: usize| (i % SIDE < SIDE / 2) == id.is_multiple_of(2);
    (0..SIDE * SIDE).map(|i| if bright(i) { 180 + (id * 7 % 70) as u8 } else { (id * 13 % 60) as u8 }).collect()
}

fn idx(magic: u32, dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let head = std::iter::once(&magic).chain(dims).flat_map(|number| number.to_be_bytes());
    head.chain(bytes.iter().copied()).collect()
}

/// A run directory that is ready for this stage.
struct Toy {
    dir: TempDir,
    plan: Plan,
    run: RunDir,
}

impl Toy {
    fn new(extra: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let (images, labels) = (dir.path().join("images"), dir.path().join("labels"));
        let all: Vec<u8> = (0..IMAGES).flat_map(pixels).collect();
        let classes: Vec<u8> = (0..IMAGES).map(|id| (id % 2) as u8).collect();
        std::fs::write(&images, idx(0x803, &[IMAGES as u32, SIDE as u32, SIDE as u32], &all)).unwrap();
        std::fs::write(&labels, idx(0x801, &[IMAGES as u32], &classes)).unwrap();
        let files = format!("{{ idx = {{ images = {images:?}, labels = {labels:?} }} }}");
        let plan = if extra.contains("[distill.optimizer]") { PLAN.replace(OPTIMIZER, "") } else { PLAN.to_owned() };
        let augment = if extra.contains("[distill.augment]") { "" } else { "[distill.augment]\n" };
        let text = plan.replace("FILES", &files).replace("EXTRA", &format!("{extra}\n{augment}"));
        let plan = Plan::from_toml(&text, "toy").unwrap();
        let run = RunDir::create(&dir.path().join("run")).unwrap();
        write_shard(&run, 0, 0, &(0..IMAGES).map(sample).collect::<Vec<_>>()).unwrap();
        let kept: Vec<u64> = (0..IMAGES).filter(|id| id % 5 != 3).collect();
        run.write_json("subset/round-000.json", &serde_json::json!({ "kept": kept })).unwrap();
        Self { dir, plan, run }
    }

    fn distill(&self, weigher: &MakeWeigher<'_>) -> Result<()> {
        self.distill_from(&Teacher::new(SIDE), weigher)
    }

    fn distill_from(&self, teacher: &Teacher, weigher: &MakeWeigher<'_>) -> Result<()> {
        run(&self.plan, &self.run, &Progress::new(Mode::Quiet), &Device::Cpu, teacher, weigher, 0)
    }

    /// The step and the accuracy of the last line that a student wrote.
    fn last_accuracy(&self, arm: &str, seed: u64) -> (u64, f64) {
        let text = std::fs::read_to_string(self.run.join("metrics.jsonl")).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let last = lines.rfind(|line| line["arm"] == arm && line["seed"] == seed).unwrap();
        (last["step"].as_u64().unwrap(), last["accuracy"].as_f64().unwrap())
    }

    /// What the cache says that it did.
    fn cache_use(&self) -> CacheUse {
        self.run.read_json(CACHE_USE_FILE).unwrap().unwrap()
    }

    /// Every file below the run directory that must not depend on interruptions.
    fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.run.path(), self.run.path(), &mut found);
        found.retain(|name, _| !["pool", "subset", "cache", "teacher-cache"].iter().any(|part| name.starts_with(part)));
        found
    }
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

fn sample(id: u64) -> Sample {
    let class = (id % 2) as u32;
    let provenance = Provenance {
        class,
        guidance: 1.0,
        steps: 1,
        seed: 0,
        stream: None,
        sampler: "ddim".into(),
        round: 0,
        generator: "none".into(),
        plugin: None,
    };
    Sample { id, class, image: Image { channels: 1, height: SIDE, width: SIDE, pixels: pixels(id) }, provenance }
}

/// Compares the brightness of both halves.
struct Teacher {
    info: ClassifierInfo,
    /// How many images it was asked for.
    asked: AtomicU64,
    /// Added to every logit for each image of the batch: a teacher whose answer depends on the images beside.
    moody: f64,
}

impl Teacher {
    fn new(side: usize) -> Self {
        let info = ClassifierInfo {
            name: "halves".into(),
            version: "1".into(),
            licence: String::new(),
            network: None,
            classes: 2,
            channels: 1,
            height: side,
            width: side,
            features: None,
            deterministic: true,
            device: "cpu".into(),
            sha256: String::new(),
        };
        Self { info, asked: AtomicU64::new(0), moody: 0.0 }
    }
}

impl Teacher {
    /// Gives features too: the brightness of both halves and of the whole.
    fn with_features() -> Self {
        let mut teacher = Self::new(SIDE);
        teacher.info.features = Some(3);
        teacher
    }
}

impl Classifier for Teacher {
    fn info(&self) -> &ClassifierInfo {
        &self.info
    }

    fn classify(&self, images: &Tensor) -> Result<Grades> {
        let half = |start| images.narrow(3, start, SIDE / 2)?.flatten_from(1)?.sum(1);
        let logits = Tensor::stack(&[half(0)?, half(SIDE / 2)?], 1)?;
        let count = images.dim(0)? as u64;
        self.asked.fetch_add(count, Ordering::Relaxed);
        let logits = logits.affine(1.0 + self.moody * count as f64, 0.0)?;
        let features = match self.info.features {
            Some(_) => Some(Tensor::cat(&[&logits, &logits.sum_keepdim(1)?], 1)?),
            None => None,
        };
        Ok(Grades { logits, features })
    }
}

/// Weights that depend on all that came before; stops the run at a step.
struct Counting {
    seen: u64,
    stop_at: Option<u64>,
}

impl Weigher for Counting {
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>> {
        if self.stop_at == Some(step.step) {
            return Err(Error::failed("killed"));
        }
        assert_eq!(step.teacher_logits.len(), step.ids.len() * step.classes_total);
        assert_eq!(step.student_logits.len(), step.teacher_logits.len());
        self.seen += 1;
        let raw: Vec<f32> = step.ids.iter().map(|id| (id % 3) as f32 + self.seen as f32 * 0.01).collect();
        let mean = raw.iter().sum::<f32>() / raw.len() as f32;
        Ok(raw.into_iter().map(|weight| weight / mean).collect())
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        Ok(self.seen.to_le_bytes().to_vec())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.seen = u64::from_le_bytes(state.try_into().unwrap());
        Ok(())
    }

    fn epoch_end(&mut self, _epoch: u32, stats_json: &str) -> Result<()> {
        let stats: serde_json::Value = serde_json::from_str(stats_json).unwrap();
        assert!(stats["loss"].is_number());
        self.seen += 100;
        Ok(())
    }

    fn usage(&self) -> PolicyUse {
        PolicyUse::default()
    }

    fn needs(&self) -> &[String] {
        static NEEDS: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| ["kl".to_owned()]);
        &*NEEDS
    }
}

/// Keeps all that a weigher is told.
struct Listening(Arc<Mutex<Vec<String>>>);

impl Weigher for Listening {
    fn weigh(&mut self, step: StepColumns<'_>) -> Result<Vec<f32>> {
        let StepColumns { round, epoch, step: number, classes, ids, teacher_logits, student_logits, given, .. } = step;
        let logits = (teacher_logits, student_logits);
        let told = format!("round {round}, epoch {epoch}, step {number}: {classes:?} {ids:?} {logits:?} {given:?}");
        self.0.lock().unwrap().push(told);
        Ok(vec![1.0; ids.len()])
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _state: &[u8]) -> Result<()> {
        Ok(())
    }

    fn epoch_end(&mut self, epoch: u32, stats_json: &str) -> Result<()> {
        self.0.lock().unwrap().push(format!("end of epoch {epoch}: {stats_json}"));
        Ok(())
    }

    fn usage(&self) -> PolicyUse {
        PolicyUse::default()
    }

    fn needs(&self) -> &[String] {
        static NEEDS: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| ["history.loss".to_owned()]);
        &*NEEDS
    }
}

/// All that weighers are told in every training of a toy.
fn told(toy: &Toy) -> Vec<String> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    toy.distill(&|_| Ok(Some(Box::new(Listening(heard.clone()))))).unwrap();
    let heard = heard.lock().unwrap();
    heard.clone()
}

fn counting(stop_at: Option<u64>) -> impl Fn(u64) -> Result<Option<Box<dyn Weigher>>> {
    move |_| Ok(Some(Box::new(Counting { seen: 0, stop_at })))
}

fn without(_: u64) -> Result<Option<Box<dyn Weigher>>> {
    Ok(None)
}

/// Checkpoints of every 3 steps fall between updates of every 4.
const AVERAGED: &str = "ema = 0.9\n[distill.optimizer]\nkind = \"sgd\"\nlr = 0.1\nnesterov = true\nclip-norm = 0.5\naccumulate = 4\nwarmup-epochs = 1";

const VARIED: &str = "[distill.augment]\ncrop-padding = 1\nrotate = 5.0\nmixup = 0.4\ncutmix = 0.4";

#[test]
fn ends_with_the_same_bytes_wherever_it_was_broken_off() {
    let whole = Toy::new(VARIED);
    whole.distill(&counting(None)).unwrap();
    let expected = whole.results();
    let names: Vec<_> = expected.keys().map(String::as_str).collect();
    assert!(names.contains(&"checkpoints/real/seed-1/student.safetensors"), "{names:?}");
    assert!(names.contains(&"weights/synthetic-seed-0.json") && names.contains(&"metrics.jsonl"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("state")), "{names:?}");
    for stops in [vec![0], vec![1, 2], vec![3, 3, 11], vec![8, 19]] {
        let toy = Toy::new(VARIED);
        for &stop in &stops {
            assert!(toy.distill(&counting(Some(stop))).unwrap_err().to_string().contains("killed"));
            // A line that was being written.
            toy.run.append_line("metrics.jsonl", "{\"arm\":\"synth").unwrap();
        }
        toy.distill(&counting(None)).unwrap();
        let found = toy.results();
        for (name, bytes) in &expected {
            assert!(found.get(name) == Some(bytes), "{name} differs after stops at {stops:?}");
        }
        assert_eq!(found.len(), expected.len());
    }
}

const CACHED: &str = "[distill.augment]\ncrop-padding = 1\nrotate = 5.0\n[distill.cache]\nvariations = 2";

fn moody() -> Teacher {
    Teacher { moody: 1e-3, ..Teacher::new(SIDE) }
}

/// Even of a teacher whose answers depend on the batch, kept answers must be found as an unbroken run finds them.
#[test]
fn kept_answers_change_nothing_where_it_was_broken_off() {
    let whole = Toy::new(CACHED);
    whole.distill_from(&moody(), &counting(None)).unwrap();
    let expected = whole.results();
    for stops in [vec![0], vec![1, 2], vec![3, 3, 11], vec![6, 8, 19]] {
        let toy = Toy::new(CACHED);
        for &stop in &stops {
            assert!(toy.distill_from(&moody(), &counting(Some(stop))).unwrap_err().to_string().contains("killed"));
        }
        toy.distill_from(&moody(), &counting(None)).unwrap();
        let found = toy.results();
        for (name, bytes) in &expected {
            assert!(found.get(name) == Some(bytes), "{name} differs after stops at {stops:?}");
        }
    }
}

#[test]
fn an_image_is_paid_for_once_by_all_epochs_and_students() {
    let (toy, teacher) = (Toy::new(CACHED), Teacher::new(SIDE));
    toy.distill_from(&teacher, &without).unwrap();
    let asked = teacher.asked.load(Ordering::Relaxed);
    let used = toy.cache_use();
    assert_eq!(used.misses, asked);
    assert_eq!(used.hits + used.misses, 2 * 2 * 5 * 32, "two arms, two students, five epochs of 32 images");
    assert!(asked <= 2 * 2 * 32, "two variations of each image of both arms, asked for {asked}");
    assert!(used.bytes > 0 && used.left_out == 0, "{used:?}");

    // Another run that names the same folder, with a teacher of the same key.
    let mut second = Toy::new(CACHED);
    second.plan.distill.cache.as_mut().unwrap().folder = Some(toy.run.join("cache"));
    let idle = Teacher::new(SIDE);
    second.distill_from(&idle, &without).unwrap();
    assert_eq!(idle.asked.load(Ordering::Relaxed), 0);
    assert_eq!((second.cache_use().hits, second.cache_use().misses), (2 * 2 * 5 * 32, 0));
    let students = |toy: &Toy| -> Vec<Vec<u8>> {
        toy.results().into_iter().filter(|(name, _)| name.ends_with("student.safetensors")).map(|(_, b)| b).collect()
    };
    assert!(students(&toy) == students(&second), "kept answers are the same answers");

    // A teacher with other options is another teacher.
    second.plan.teacher.members.get_mut("teacher").unwrap().config = serde_json::json!({ "deep": true });
    std::fs::remove_dir_all(second.run.join("checkpoints")).unwrap();
    second.distill_from(&idle, &without).unwrap();
    assert!(idle.asked.load(Ordering::Relaxed) > 0);
}

#[test]
fn features_are_kept_where_the_loss_looks_at_them() {
    let settings = format!("{CACHED}\n[distill.loss]\nhint = 0.5");
    let (kept, asked) = (Toy::new(&settings), Toy::new(&settings.replace("[distill.cache]\nvariations = 2", "")));
    kept.distill_from(&Teacher::with_features(), &without).unwrap();
    assert!(kept.cache_use().hits > kept.cache_use().misses);
    let again = Toy { plan: kept.plan.clone(), ..Toy::new(&settings) };
    again.distill_from(&Teacher::with_features(), &without).unwrap();
    assert!(again.results() == kept.results());
    asked.distill_from(&Teacher::with_features(), &without).unwrap();
    assert!(asked.last_accuracy("synthetic", 0).1 > 0.9 && kept.last_accuracy("synthetic", 0).1 > 0.9);
}

#[test]
fn unvaried_images_are_kept_too() {
    let toy = Toy::new("[distill.cache]");
    let ask = |toy: &Toy| {
        let teacher = Teacher::new(SIDE);
        toy.distill_from(&teacher, &without).unwrap();
        teacher.asked.load(Ordering::Relaxed)
    };
    assert!((32..=64).contains(&ask(&toy)));
    std::fs::remove_dir_all(toy.run.join("checkpoints")).unwrap();
    assert_eq!(ask(&toy), 0);
}

#[test]
fn the_student_learns_by_every_loss() {
    let kinds = ["kd", "kd-standardised", "dkd", "dist", "logit-mse"].map(|kind| format!("kind = {kind:?}"));
    let mixes = ["weight = 0\ncross-entropy = 1", "cross-entropy = 0.5\nhint = 0.1"].map(str::to_owned);
    for loss in kinds.into_iter().chain(mixes) {
        let toy = Toy::new(&format!("[distill.loss]\n{loss}"));
        toy.distill_from(&Teacher::with_features(), &without).unwrap();
        let (step, accuracy) = toy.last_accuracy("real", 1);
        assert_eq!(step, 20);
        assert!(accuracy > 0.9, "{loss}: {accuracy}");
    }
}

#[test]
fn temperatures_may_follow_each_image() {
    let (each, all) = (Toy::new(""), Toy::new(""));
    let each = Toy { plan: Plan { distill: by_deviation(&each.plan.distill), ..each.plan.clone() }, ..each };
    [&each, &all].iter().for_each(|toy| toy.distill(&without).unwrap());
    assert!(each.last_accuracy("real", 0).1 > 0.9);
    let student = "checkpoints/real/seed-0/student.safetensors";
    assert!(each.results()[student] != all.results()[student]);
}

fn by_deviation(plan: &DistillPlan) -> DistillPlan {
    DistillPlan { temperature: 2.0, temperature_unit: TemperatureUnit::LogitStd, ..plan.clone() }
}

#[test]
fn what_is_learnt_beside_the_student_is_resumed_and_not_exported() {
    const HINT: &str = "[distill.loss]\nhint = 1.0";
    let whole = Toy::new(HINT);
    let teacher = Teacher::with_features();
    whole.distill_from(&teacher, &counting(None)).unwrap();
    let student = whole.run.join("checkpoints/real/seed-0/student.safetensors");
    let names: Vec<_> = limbeck_models::checkpoint::load(&student).unwrap().tensors.into_keys().collect();
    assert!(names.iter().all(|name| !name.contains("hint")), "{names:?}");
    let broken = Toy::new(HINT);
    broken.distill_from(&teacher, &counting(Some(7))).unwrap_err();
    broken.distill_from(&teacher, &counting(None)).unwrap();
    assert!(broken.results() == whole.results());
}

#[test]
fn averages_and_gradients_that_wait_are_resumed() {
    let whole = Toy::new(AVERAGED);
    whole.distill(&counting(None)).unwrap();
    let (_, accuracy) = whole.last_accuracy("real", 0);
    assert!(accuracy > 0.9, "{accuracy}");
    for stop in [5, 7, 14] {
        let broken = Toy::new(AVERAGED);
        broken.distill(&counting(Some(stop))).unwrap_err();
        broken.distill(&counting(None)).unwrap();
        assert!(broken.results() == whole.results(), "stopped at {stop}");
    }
}

#[test]
fn the_student_learns() {
    let toy = Toy::new("");
    toy.distill(&without).unwrap();
    let text = std::fs::read_to_string(toy.run.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (arm, seed) in [("synthetic", 0), ("synthetic", 1), ("real", 0), ("real", 1)] {
        let mine: Vec<_> = lines.iter().filter(|line| line["arm"] == arm && line["seed"] == seed).collect();
        let steps: Vec<_> = mine.iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [4, 8, 12, 16, 20], "a line at each epoch's end");
        assert!(mine[4]["loss"].as_f64() < mine[0]["loss"].as_f64());
        assert_eq!(mine[4]["accuracy"], 1.0);
    }
    assert!(!toy.run.join("weights").exists(), "nobody weighs");
    let before = toy.results();
    toy.distill(&without).unwrap();
    assert!(toy.results() == before, "what is finished stays as it is");
    drop(toy.dir);
}

/// Test images are looked at for the log's accuracy: whatever they are, weighers hear the same.
#[test]
fn no_weigher_is_told_anything_of_the_test_images() {
    let (toy, mut other) = (Toy::new(""), Toy::new(""));
    let Some(Files::Idx { labels, .. }) = &mut other.plan.data.test else { panic!("{:?}", other.plan.data) };
    *labels = other.dir.path().join("wrong-labels");
    let wrong: Vec<u8> = (0..IMAGES).map(|id| 1 - (id % 2) as u8).collect();
    std::fs::write(labels, idx(0x801, &[IMAGES as u32], &wrong)).unwrap();
    let (heard, heard_of_other) = (told(&toy), told(&other));
    assert_eq!((toy.last_accuracy("real", 0).1, other.last_accuracy("real", 0).1), (1.0, 0.0));
    assert!(heard.iter().filter(|line| line.starts_with("end of epoch")).count() == 2 * 2 * 5, "{heard:?}");
    assert!(heard == heard_of_other);
    assert!(!heard.iter().any(|line| line.contains("accuracy")), "{heard:?}");
}

#[test]
fn weighers_are_told_the_round() {
    let mut toy = Toy::new("");
    toy.plan.distill.seeds.truncate(1);
    toy.plan.baseline = None;
    toy.plan.rounds = Some(RoundsPlan {
        count: 2,
        images_per_round: 20,
        epochs: 1,
        student: RoundStudent::Retrain,
        held_out: 0.2,
        planner: None,
    });
    assert!(told(&toy).iter().all(|line| line.starts_with("round 0") || line.starts_with("end of epoch")));
    let later: Vec<_> = (IMAGES..IMAGES + 8).map(sample).collect();
    write_shard(&toy.run, 1, 0, &later).unwrap();
    let kept: Vec<u64> = later.iter().map(|sample| sample.id).collect();
    toy.run.write_json("subset/round-001.json", &serde_json::json!({ "kept": kept })).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listening = |_| -> Result<Option<Box<dyn Weigher>>> { Ok(Some(Box::new(Listening(heard.clone())))) };
    let progress = Progress::new(Mode::Quiet);
    run(&toy.plan, &toy.run, &progress, &Device::Cpu, &Teacher::new(SIDE), &listening, 1).unwrap();
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|line| line.starts_with("round 1") || line.starts_with("end of epoch")), "{heard:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let toy = Toy::new("");
    let teach = |teacher: &Teacher| {
        let progress = Progress::new(Mode::Quiet);
        run(&toy.plan, &toy.run, &progress, &Device::Cpu, teacher, &without, 0).unwrap_err().to_string()
    };
    let message = teach(&Teacher::new(8));
    assert!(message.contains("the synthetic images: they are (1, 6, 6)") && message.contains("(1, 8, 8)"), "{message}");
    let hint = Toy::new("[distill.loss]\nhint = 1.0");
    let error = hint.distill(&without).unwrap_err();
    assert!(error.to_string().contains("which `halves` does not give: set it to 0"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let mut other = Teacher::new(SIDE);
    other.info.classes = 5;
    assert!(teach(&other).contains("tells 5 classes apart, `data.classes` is 2"));
    toy.run.write_json("subset/round-000.json", &serde_json::json!({ "kept": [1, 99] })).unwrap();
    assert!(teach(&Teacher::new(SIDE)).contains("keeps 2 images, of which the pool has 1"));
    std::fs::remove_file(toy.run.join("subset/round-000.json")).unwrap();
    assert!(teach(&Teacher::new(SIDE)).contains("run `limbeck select` first"));
}

const OPTIMIZER: &str = "[distill.optimizer]\nlr = 0.01\n";

const PLAN: &str = r#"
[run]
name = "toy"
seed = 0

[data]
format = "idx"
classes = 2
train = FILES
test = FILES

[generator]
weights = "/nowhere/dit.safetensors"
sha256 = "00"

[synth]
images = 40
sampler = "ddim"
steps = 1
guidance = 1.0
eta = 0.0
batch = 40
shard = 40

[teacher.members.teacher]
plugin = "/nowhere/teacher.so"
allow-unpinned = true
config = {}

[select]
keep = { fraction = 1.0 }
config = {}

[distill]
student = "mlp"
epochs = 5
batch = 8
temperature = 4.0
seeds = [0, 1]
checkpoint-every = 3


[distill.optimizer]
lr = 0.01

EXTRA

[baseline]
real = true

[limits]

[inputs]
"#;
