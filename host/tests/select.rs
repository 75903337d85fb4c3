//! The stage `select` over a small pool, with a teacher that is known by heart and the policies that Limbeck ships.

#[path = "common/components.rs"]
mod components;

use std::cell::Cell;
use std::path::Path;

use candle_core::{Device, Tensor};
use components::component;
use limbeck::backend::{Classifier, ClassifierInfo, Grades};
use limbeck::plan::{Keep, LinkPlan, Plan, SelectRole, plan};
use limbeck::pool::{Image, Provenance, Sample, write_shard};
use limbeck::progress::{Mode, Progress};
use limbeck::rounds::subset_file;
use limbeck::run_dir::{RunDir, sha256_file};
use limbeck::select::{Subset, link_usage_file, run_with, usage_file};
use limbeck::{Error, Result};

const IMAGES: u64 = 40;

/// Sees the class in the first pixel, and is surer the brighter the second.
struct ByHeart(ClassifierInfo);

impl Classifier for ByHeart {
    fn info(&self) -> &ClassifierInfo {
        &self.0
    }

    fn classify(&self, images: &Tensor) -> Result<Grades> {
        let rows = images.flatten_from(1)?.to_vec2::<f32>()?;
        let logits = rows.iter().flat_map(|pixels| {
            let (class, sure) = ((pixels[0] * 255.0).round() as usize, 8.0 * pixels[1]);
            (0..10).map(move |k| if k == class { sure } else { 0.0 })
        });
        let logits = Tensor::from_iter(logits, &Device::Cpu)?.reshape((rows.len(), 10))?;
        Ok(Grades { features: Some(logits.narrow(1, 0, 4)?.contiguous()?), logits })
    }
}

fn by_heart(classes: usize) -> Box<dyn Classifier> {
    Box::new(ByHeart(ClassifierInfo {
        name: "by-heart".into(),
        version: "1".into(),
        licence: "MIT".into(),
        network: None,
        classes,
        channels: 1,
        height: 2,
        width: 2,
        features: Some(4),
        deterministic: true,
        device: "cpu".into(),
        sha256: String::new(),
    }))
}

/// Every fourth image shows another class than the one it was drawn for.
fn sample(id: u64) -> Sample {
    let class = (id % 10) as u32;
    let shown = if id.is_multiple_of(4) { (class + 1) % 10 } else { class };
    let pixels = vec![shown as u8, (5 * id + 40) as u8, 0, 0];
    let provenance = Provenance {
        class,
        guidance: 2.0,
        steps: 20,
        seed: 3,
        stream: None,
        sampler: "ddim".into(),
        round: 0,
        generator: "none".into(),
        plugin: None,
    };
    Sample { id, class, image: Image { channels: 1, height: 2, width: 2, pixels }, provenance }
}

/// A run with a drawn pool and its plan.
struct Trial {
    _folder: tempfile::TempDir,
    run: RunDir,
    plan: Plan,
    opened: Cell<u32>,
}

impl Trial {
    fn new(policy: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        for name in ["train-images", "train-labels", "test-images", "test-labels"] {
            put(&format!("data/{name}.gz"), name.as_bytes());
        }
        // Only their first bytes are looked at: the plan tells kinds of files apart, and these tests open none of them.
        put("dit.safetensors", b"\x02\0\0\0\0\0\0\0{}");
        put("teacher.safetensors", b"\x02\0\0\0\0\0\0\0{}");
        put("libteacher.so", b"\x7fELF");
        put("filter.wasm", b"\0asm\x0d\0\x01\0");
        put("weigher.wasm", b"\0asm\x0d\0\x01\0");
        let config = limbeck::recipe::parse(include_str!("../src/testdata/recipe.toml"), "recipe.toml", &[]).unwrap();
        let mut plan = plan(config, folder.path()).unwrap();
        plan.select.policy = policy.map(component);
        plan.select.keep = Keep::Fraction(1.0);
        let run = RunDir::create(&folder.path().join("run")).unwrap();
        let samples: Vec<_> = (0..IMAGES).map(sample).collect();
        write_shard(&run, 0, 0, &samples[..25]).unwrap();
        write_shard(&run, 0, 1, &samples[25..]).unwrap();
        let mut trial = Self { _folder: folder, run, plan, opened: Cell::new(0) };
        trial.hash_policy();
        trial
    }

    /// Enters the hash of the policy, as making a plan does.
    fn hash_policy(&mut self) {
        let input = self.plan.inputs.get_mut("select.policy").unwrap();
        input.sha256 =
            self.plan.select.policy.as_deref().map_or(String::new(), |path: &Path| sha256_file(path).unwrap());
    }

    fn configure(&mut self, config: &str) {
        self.plan.select.config = serde_json::from_str(config).unwrap();
    }

    fn select(&self) -> Result<Subset> {
        let open = || {
            self.opened.set(self.opened.get() + 1);
            Ok(by_heart(10))
        };
        run_with(&self.plan, &self.run, &Progress::new(Mode::Quiet), &open, 0)?;
        Subset::read(&self.run, 0)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.run.join(&subset_file(0))).unwrap()
    }
}

#[test]
fn a_filter_drops_what_the_teacher_does_not_see() {
    let trial = Trial::new(Some("teacher-filter"));
    let subset = trial.select().unwrap();
    assert_eq!(subset.kept.len(), 30);
    assert!(subset.kept.iter().all(|id| id % 4 != 0));
    assert_eq!(subset.decisions.len(), IMAGES as usize);
    let wrong = &subset.decisions[4];
    assert_eq!((wrong.id, wrong.class, wrong.teacher_class, wrong.kept), (4, 4, 5, false));
    assert_eq!((wrong.reason.as_str(), wrong.rank), ("the teacher sees another class", None));
    let best = subset.decisions.iter().find(|decision| decision.rank == Some(1)).unwrap();
    assert_eq!((best.id, best.reason.as_str()), (39, "among the best by score"));
    assert_eq!(best.score, Some(best.teacher_p_class));
    assert_eq!(subset.policy.unwrap().name, "teacher-filter");
    let usage: serde_json::Value = trial.run.read_json(&usage_file(0)).unwrap().unwrap();
    assert!(usage["fuel"].as_u64() > Some(0) && usage["calls"] == 4, "{usage}");
}

#[test]
fn a_budget_keeps_the_best() {
    let mut trial = Trial::new(Some("teacher-filter"));
    trial.plan.select.keep = Keep::Count(5);
    let subset = trial.select().unwrap();
    assert_eq!(subset.kept, [34, 35, 37, 38, 39]);
    assert_eq!(subset.decisions[33].reason, "below the cut by score");
}

#[test]
fn a_selector_balances_classes() {
    let mut trial = Trial::new(Some("class-balance"));
    trial.plan.select.keep = Keep::Count(20);
    let subset = trial.select().unwrap();
    for class in 0..10 {
        let kept = subset.decisions.iter().filter(|decision| decision.kept && decision.class == class);
        assert_eq!(kept.count(), 2, "class {class}");
    }
    assert!(subset.decisions.iter().any(|decision| decision.reason == "clearer images fill its class"));
}

#[test]
fn without_a_policy_everything_stays() {
    let subset = Trial::new(None).select().unwrap();
    assert_eq!((subset.kept.len(), subset.policy), (IMAGES as usize, None));
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_open_no_teacher() {
    let trial = Trial::new(Some("teacher-filter"));
    trial.select().unwrap();
    let first = trial.bytes();
    trial.select().unwrap();
    assert_eq!((trial.bytes() == first, trial.opened.get()), (true, 1), "a finished stage is left alone");

    std::fs::remove_file(trial.run.join(&subset_file(0))).unwrap();
    trial.select().unwrap();
    assert_eq!((trial.bytes() == first, trial.opened.get()), (true, 1), "grades are kept");

    std::fs::write(trial.run.join("pool/round-000/grades.safetensors"), b"damaged").unwrap();
    std::fs::remove_file(trial.run.join(&subset_file(0))).unwrap();
    trial.select().unwrap();
    assert_eq!((trial.bytes() == first, trial.opened.get()), (true, 2), "damaged grades are made again");
    assert_eq!(Trial::new(Some("teacher-filter")).select().unwrap(), Subset::read(&trial.run, 0).unwrap());
}

#[test]
fn another_teacher_or_policy_decides_anew() {
    let mut trial = Trial::new(Some("teacher-filter"));
    trial.select().unwrap();
    trial.plan.inputs.get_mut("teacher.weights").unwrap().sha256 = "0".repeat(64);
    trial.select().unwrap();
    assert_eq!(trial.opened.get(), 2, "another teacher grades again");

    trial.plan.select.policy = Some(component("entropy"));
    trial.hash_policy();
    trial.configure(r#"{"prefer": "certain"}"#);
    trial.plan.select.keep = Keep::Count(1);
    let subset = trial.select().unwrap();
    assert_eq!(trial.opened.get(), 2, "another policy does not");
    assert_eq!((subset.kept, subset.policy.unwrap().name.as_str()), (vec![39], "entropy"));
    trial.configure(r#"{"prefer": "uncertain"}"#);
    assert_eq!(trial.select().unwrap().kept, [0], "nor does another configuration, which decides anew");
}

#[test]
fn faults_of_the_recipe_are_wrong_input() {
    let complaint = |trial: &Trial| match trial.select().unwrap_err() {
        Error::Input(message) => message,
        error => panic!("{error:?}"),
    };
    let mut trial = Trial::new(Some("confidence"));
    assert!(complaint(&trial).contains("is a weigher, and the recipe names it where a scorer or a selector belongs"));
    trial.plan.select.policy = Some(component("teacher-filter"));
    trial.configure(r#"{"top": 11}"#);
    assert!(complaint(&trial).contains("`top` is 11, expected 1 to 10"));
    trial.plan.data.classes = 12;
    trial.plan.inputs.get_mut("teacher.weights").unwrap().sha256 = "0".repeat(64);
    assert!(complaint(&trial).contains("teacher `by-heart` tells 10 classes apart, `data.classes` is 12"));
    let trial = Trial::new(Some("disagreement"));
    assert!(complaint(&trial).contains("set `select.student` to a finished student"));
}

#[test]
fn a_filter_that_drops_everything_ends_the_run_with_its_reasons() {
    let mut trial = Trial::new(Some("teacher-filter"));
    trial.configure(r#"{"min-probability": 1}"#);
    let error = trial.select().unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert!(
        message.contains(
            "all 40 images were dropped (30 the teacher gives the class less than 1, 10 the teacher sees another class)"
        ),
        "{message}"
    );
    assert!(!trial.run.join(&subset_file(0)).exists());
}

/// A filter, then a balance, then the best by a score, each with its own parameters.
fn chained() -> Trial {
    let mut trial = Trial::new(None);
    let link = |policy: &str, keep, config: &str| LinkPlan {
        policy: component(policy),
        role: None,
        keep,
        config: serde_json::from_str(config).unwrap(),
    };
    trial.plan.select.chain = vec![
        link("teacher-filter", Keep::Fraction(1.0), "{}"),
        link("class-balance", Keep::Count(20), "{}"),
        link("linear", Keep::Fraction(0.25), r#"{"columns": {"teacher.p-class": 1}}"#),
    ];
    trial.plan.select.chain[2].role = Some(SelectRole::Scorer);
    trial
}

#[test]
fn each_link_of_a_chain_decides_about_what_is_left() {
    let trial = chained();
    let subset = trial.select().unwrap();
    assert_eq!(subset.kept, [34, 35, 37, 38, 39], "the surest quarter of 20 that the balance left");
    let names: Vec<_> = subset.chain.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!((names, subset.policy), (vec!["teacher-filter", "class-balance", "linear"], None));
    let reason = |id: usize| subset.decisions[id].reason.as_str();
    assert_eq!(reason(4), "teacher-filter (1): the teacher sees another class");
    assert!(subset.decisions.iter().any(|one| one.reason == "class-balance (2): clearer images fill its class"));
    assert!(subset.decisions.iter().any(|one| one.reason == "linear (3): below the cut by score"));
    assert_eq!(reason(39), "linear (3): among the best by score");
    for link in 0..3 {
        let usage: serde_json::Value = trial.run.read_json(&link_usage_file(0, link)).unwrap().unwrap();
        assert!(usage["fuel"].as_u64() > Some(0) && usage["lent_bytes"].as_u64() > Some(0), "{usage}");
    }
}

#[test]
fn a_chain_of_one_decides_as_the_policy_alone() {
    let mut alone = Trial::new(Some("teacher-filter"));
    alone.plan.select.keep = Keep::Count(7);
    let mut chain = chained();
    chain.plan.select.chain.truncate(1);
    chain.plan.select.chain[0].keep = Keep::Count(7);
    assert_eq!(alone.select().unwrap().kept, chain.select().unwrap().kept);
    let first = chain.bytes();
    chain.plan.select.chain[0].keep = Keep::Count(6);
    assert_eq!(chain.select().unwrap().kept.len(), 6, "a changed link decides anew");
    assert_ne!(first, chain.bytes());
}

#[test]
fn errors_name_the_link() {
    let complaint = |change: fn(&mut LinkPlan)| {
        let mut trial = chained();
        change(&mut trial.plan.select.chain[1]);
        let error = trial.select().unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    };
    let wrong_role = complaint(|link| link.policy = component("confidence"));
    assert!(
        wrong_role.starts_with("link 2 of `select.chain`: ") && wrong_role.contains("is a weigher"),
        "{wrong_role}"
    );
    let wrong_config = complaint(|link| link.config = serde_json::json!({ "quota": -1 }));
    assert!(wrong_config.starts_with("link 2 of `select.chain`: ") && wrong_config.contains("quota"), "{wrong_config}");
    let asked_for = complaint(|link| link.role = Some(SelectRole::Scorer));
    assert!(asked_for.contains("is a selector, and the recipe names it where a scorer belongs"), "{asked_for}");
}
