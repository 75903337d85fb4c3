//! Every policy of the library as the component that users run and as its native twin, on the same columns: equal bit for
//! bit, errors and random numbers included. A new policy is one line in [`library`].

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use limbeck::policy::{Env, Limits, Policy, PolicyInstance, Role, Sandbox, Veto, When};
use limbeck::seed::{Purpose, rng};
use limbeck_policy as sdk;
use rand::RngCore;
use sha2::{Digest, Sha256};

use super::component;
use super::pool::{FEATURES, Pool, table};

const STEPS: u64 = 100;

/// A policy and the configurations under which it is compared.
struct Twin {
    name: &'static str,
    role: Role,
    configs: &'static [&'static str],
    /// Both on one pool.
    compare: fn(&mut PolicyInstance, &str, &Pool),
    /// What the native one says of a configuration.
    accepts: fn(&str, &sdk::Env) -> Result<sdk::Setup, String>,
}

#[rustfmt::skip]
fn library() -> Vec<Twin> {
    vec![
        // Selection.
        selector::<limbeck_policy_class_balance::ClassBalance>(&["{}"]),
        scorer::<limbeck_policy_disagreement::Disagreement>(&["{}", r#"{"only-where-differ": true}"#]),
        scorer::<limbeck_policy_el2n::El2n>(&["{}", r#"{"of": "student", "target": "teacher", "prefer": "easy"}"#]),
        scorer::<limbeck_policy_entropy::Entropy>(&["{}", r#"{"prefer": "certain", "of": "student"}"#]),
        scorer::<limbeck_policy_external_filter::ExternalFilter>(&[r#"{"column": "teacher.p-class"}"#]),
        selector::<limbeck_policy_facility_location::FacilityLocation>(&["{}", r#"{"per-class": false}"#]),
        scorer::<limbeck_policy_grand::Grand>(&["{}"]),
        selector::<limbeck_policy_herding::Herding>(&["{}", r#"{"per-class": false}"#]),
        selector::<limbeck_policy_k_centre::KCentre>(&["{}", r#"{"per-class": false}"#]),
        scorer::<limbeck_policy_least_confidence::LeastConfidence>(&["{}", r#"{"of": "student"}"#]),
        scorer::<limbeck_policy_linear::Linear>(&[r#"{"columns": {"teacher.margin": -1, "round": 0.3, "kl": 0.1}, "bias": 0.7}"#]),
        scorer::<limbeck_policy_margin::Margin>(&["{}", r#"{"of": "student"}"#]),
        selector::<limbeck_policy_near_duplicates::NearDuplicates>(&["{}", r#"{"similarity": 0.3}"#]),
        selector::<limbeck_policy_prototype_distance::PrototypeDistance>(&["{}", r#"{"prefer": "unusual"}"#]),
        scorer::<limbeck_policy_teacher_filter::TeacherFilter>(&["{}", r#"{"top": 3, "min-probability": 0.01, "above-chance": true}"#]),
        // Weighting.
        weigher::<limbeck_policy_aum::Aum>(&["{}", r#"{"drop": 0.6, "warm-up": 1}"#]),
        weigher::<limbeck_policy_cartography::Cartography>(&["{}", r#"{"prefer": "hard", "warm-up": 1}"#]),
        weigher::<limbeck_policy_class_balanced::ClassBalanced>(&["{}", r#"{"beta": 0.9}"#]),
        weigher::<limbeck_policy_confidence::Confidence>(&["{}", r#"{"gamma": 0.37}"#]),
        weigher::<limbeck_policy_entropy_weight::EntropyWeight>(&["{}"]),
        weigher::<limbeck_policy_focal::Focal>(&["{}", r#"{"gamma": 0.5}"#]),
        weigher::<limbeck_policy_focal_kd::FocalKd>(&["{}", r#"{"gamma": 0.5, "floor": 0.2}"#]),
        weigher::<limbeck_policy_forgetting::Forgetting>(&["{}"]),
        weigher::<limbeck_policy_generation_curriculum::GenerationCurriculum>(&["{}", r#"{"by": "steps", "from": 90, "to": 10, "width": 20}"#]),
        weigher::<limbeck_policy_info_batch::InfoBatch>(&["{}", r#"{"drop": 0.9}"#]),
        weigher::<limbeck_policy_linear::Linear>(&[r#"{"columns": {"teacher.p-class": 2, "student.p-class": -1, "kl": 0.1}, "bias": -0.1}"#]),
        weigher::<limbeck_policy_selective_backprop::SelectiveBackprop>(&["{}", r#"{"keep": 0.2}"#]),
        weigher::<limbeck_policy_self_paced::SelfPaced>(&["{}", r#"{"loss": "class", "start": 0.5}"#]),
        weigher::<limbeck_policy_small_loss::SmallLoss>(&["{}", r#"{"loss": "kl", "drop": 0.6}"#]),
        weigher::<limbeck_policy_uniform::Uniform>(&["{}"]),
        weigher::<limbeck_policy_weighted_soft_labels::WeightedSoftLabels>(&["{}"]),
        // Planning.
        planner::<limbeck_policy_fidelity_curriculum::FidelityCurriculum>(&["{}", r#"{"steps-from": 10, "steps-to": 33}"#]),
        planner::<limbeck_policy_hard_regions::HardRegions>(&["{}", r#"{"explore": 0.1, "spread": 0.7}"#]),
        planner::<limbeck_policy_uniform_draw::UniformDraw>(&["{}"]),
        planner::<limbeck_policy_weak_classes::WeakClasses>(&["{}", r#"{"gamma": 2.5}"#]),
    ]
}

fn accepts<P: sdk::Policy>(config: &str, env: &sdk::Env) -> Result<sdk::Setup, String> {
    sdk::configure::<P>(config, env).map(|policy| sdk::Setup { needs: policy.needs(), reasons: policy.reasons() })
}

fn scorer<P: sdk::Scorer>(configs: &'static [&'static str]) -> Twin {
    let compare = |instance: &mut PolicyInstance, config: &str, pool: &Pool| {
        let mut twin = native::<P>(config, pool);
        let columns = pool.columns(&instance.setup().needs);
        for when in TIMES {
            let want = twin.score(&at::<P>(&columns, when)).unwrap();
            let got = instance.score(columns.clone(), when).unwrap();
            assert_eq!(bits(&got.values), bits(&want.values));
            assert_eq!(pairs(&got.vetoes), want.vetoes.iter().map(|veto| (veto.row, veto.reason)).collect::<Vec<_>>());
        }
    };
    Twin { name: P::NAME, role: Role::Scorer, configs, compare, accepts: accepts::<P> }
}

fn selector<P: sdk::Selector>(configs: &'static [&'static str]) -> Twin {
    let compare = |instance: &mut PolicyInstance, config: &str, pool: &Pool| {
        let mut twin = native::<P>(config, pool);
        let columns = pool.columns(&instance.setup().needs);
        let rows = pool.class.len() as u32;
        for budget in [0, 1, rows / 3, rows, 10_000] {
            let want = twin.select(&at::<P>(&columns, When::default()), budget).unwrap();
            let got = instance.select(columns.clone(), budget, When::default()).unwrap();
            assert_eq!(got.keep, want.keep, "budget {budget}");
            assert_eq!(pairs(&got.vetoes), want.vetoes.iter().map(|veto| (veto.row, veto.reason)).collect::<Vec<_>>());
        }
    };
    Twin { name: P::NAME, role: Role::Selector, configs, compare, accepts: accepts::<P> }
}

/// Weighers learn: the student changes from epoch to epoch, and states must be the same bytes.
fn weigher<P: sdk::Weigher>(configs: &'static [&'static str]) -> Twin {
    let compare = |instance: &mut PolicyInstance, config: &str, pool: &Pool| {
        let mut twin = native::<P>(config, pool);
        for (time, when) in TIMES.into_iter().enumerate() {
            let columns = pool.after(time).columns(&instance.setup().needs);
            let want = twin.weigh(&at::<P>(&columns, when)).unwrap();
            let got = instance.weigh(columns, when).unwrap();
            assert_eq!(bits(&got), bits(&want), "{when:?}");
            twin.epoch_end(when.epoch, r#"{"loss": 0.5}"#).unwrap();
            instance.epoch_end(when.epoch, r#"{"loss": 0.5}"#).unwrap();
            let state = instance.save().unwrap();
            assert_eq!(Ok(&state), twin.save().as_ref());
            twin = native::<P>(config, pool);
            twin.restore(P::STATE_VERSION, &state).unwrap();
            instance.restore(P::STATE_VERSION, &state).unwrap();
        }
    };
    Twin { name: P::NAME, role: Role::Weigher, configs, compare, accepts: accepts::<P> }
}

fn planner<P: sdk::Planner>(configs: &'static [&'static str]) -> Twin {
    let compare = |instance: &mut PolicyInstance, config: &str, pool: &Pool| {
        let mut twin = native::<P>(config, pool);
        for (round, images) in [(0, 0), (0, 1), (1, 97), (3, 1000)] {
            let stats = stats(pool, round);
            let want = twin.plan(images, &stats).unwrap();
            let got = instance.plan(images, pool.classes as u32, round, &stats).unwrap();
            let got: Vec<_> = got.iter().map(|d| (d.class, d.guidance.to_bits(), d.steps, d.seed)).collect();
            let want: Vec<_> = want.iter().map(|d| (d.class, d.guidance.to_bits(), d.steps, d.seed)).collect();
            assert_eq!(got, want, "round {round}");
        }
    };
    Twin { name: P::NAME, role: Role::Planner, configs, compare, accepts: accepts::<P> }
}

/// Nothing known in the first round, lags and hard images of every size in later ones.
fn stats(pool: &Pool, round: u32) -> String {
    let known = round > 0;
    let class = |class: usize| sdk::ClassStats {
        images: 10,
        held_out: 2,
        teacher_accuracy: 0.9,
        student_accuracy: (class as f64 * 0.37 + f64::from(round) * 0.11).fract(),
    };
    let hard = |(row, &class): (usize, &u32)| sdk::Hard {
        class,
        guidance: 0.3 * row as f32,
        steps: 20,
        seed: row as u64,
        kl: 1.0 / (1.0 + row as f64),
    };
    let stats = sdk::Stats {
        round,
        rounds: 4,
        guidance: 2.0,
        steps: 50,
        first_seed: 1000,
        classes: (0..pool.classes).filter(|_| known).map(class).collect(),
        hardest: pool.class.iter().enumerate().filter(|_| known).map(hard).take(9).collect(),
    };
    serde_json::to_string(&stats).unwrap()
}

/// The beginning, and moments before and after the warm-up of policies that have one.
const TIMES: [When; 4] = [
    When { round: 0, epoch: 0, step: 0 },
    When { round: 0, epoch: 2, step: 31 },
    When { round: 1, epoch: 5, step: 62 },
    When { round: 1, epoch: 7, step: 93 },
];

fn pairs(vetoes: &[Veto]) -> Vec<(u32, u32)> {
    vetoes.iter().map(|veto| (veto.row, veto.reason)).collect()
}

fn env(classes: usize) -> sdk::Env {
    sdk::Env { classes: classes as u32, feature_dim: FEATURES as u32, total_steps: STEPS }
}

fn native<P: sdk::Policy>(config: &str, pool: &Pool) -> P {
    sdk::configure(config, &env(pool.classes)).unwrap()
}

/// The table of a moment, in which the native policy gets the random numbers of the sandbox.
fn at<P: sdk::Policy>(columns: &limbeck::policy::Columns, when: When) -> sdk::Table {
    // The host keeps the numbers of policies apart by their names.
    let name = Sha256::digest(P::NAME.as_bytes());
    let seed = u64::from_be_bytes(*name.first_chunk().unwrap());
    let mut random = rng(seed, Purpose::Policy, when.step ^ u64::from(when.round) << 40);
    sdk::feed_random((0..columns.rows()).map(|_| random.next_u64()));
    let mut table = table(columns);
    (table.round, table.epoch, table.step) = (when.round, when.epoch, when.step);
    table
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The pools that every policy must stand, beside the random one: two classes, one, all equal, one image, none.
fn pools() -> Vec<Pool> {
    vec![
        Pool::random(257, 10),
        Pool::random(64, 2),
        Pool::random(20, 1),
        Pool::equal(33, 10),
        Pool::random(1, 3),
        Pool::random(0, 10),
    ]
}

fn agree(role: Role) {
    let sandbox = Sandbox::new().unwrap();
    for twin in library().iter().filter(|twin| twin.role == role) {
        let policy = Policy::open(&sandbox, &component(twin.name)).unwrap();
        assert!(policy.roles().contains(&role), "{}", twin.name);
        for (config, pool) in
            twin.configs.iter().flat_map(|config| pools().into_iter().map(move |pool| (*config, pool)))
        {
            eprintln!("{} {config}: {} images of {} classes", twin.name, pool.class.len(), pool.classes);
            let native = env(pool.classes);
            let sandboxed = Env {
                config_json: config.into(),
                classes: native.classes,
                feature_dim: native.feature_dim,
                total_steps: native.total_steps,
            };
            let started = policy.start(&sandboxed, 0, &Limits::default(), Arc::new(|_, line| panic!("{line}")));
            match ((twin.accepts)(config, &native), started) {
                (Ok(setup), Ok(mut instance)) => {
                    assert_eq!(instance.info().name, twin.name);
                    assert!(!instance.info().summary.is_empty());
                    assert_eq!((&instance.setup().needs, &instance.setup().reasons), (&setup.needs, &setup.reasons));
                    (twin.compare)(&mut instance, config, &pool);
                }
                (Err(want), Err(got)) => assert!(got.to_string().contains(&want), "{got}, natively: {want}"),
                (want, got) => panic!("natively {want:?}, in the sandbox {:?}", got.map(|_| ())),
            }
        }
    }
}

#[test]
fn scorers_agree_with_their_native_twins() {
    agree(Role::Scorer);
}

#[test]
fn selectors_agree_with_their_native_twins() {
    agree(Role::Selector);
}

#[test]
fn weighers_agree_with_their_native_twins() {
    agree(Role::Weigher);
}

#[test]
fn planners_agree_with_their_native_twins() {
    agree(Role::Planner);
}

/// The names of the folders in `policies/`.
fn folders() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let entries = std::fs::read_dir(root.join("policies")).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn every_folder_has_its_twin_compared() {
    let compared: BTreeSet<String> = library().iter().map(|twin| twin.name.to_owned()).collect();
    assert_eq!(folders(), compared, "a folder of policies/ and its line in `library` bear the name of the policy");
}

#[test]
fn every_folder_is_on_the_reference_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/policies.md");
    let page = std::fs::read_to_string(&page).unwrap();
    for name in folders() {
        assert!(page.contains(&format!("| `{name}` |")), "docs/policies.md has no row for `{name}`");
    }
}

/// A misspelt key is an error under every policy, and its message names the key.
#[test]
fn unknown_keys_are_refused() {
    for twin in library() {
        let mut config: serde_json::Value = serde_json::from_str(twin.configs[0]).unwrap();
        config["no-such-key"] = 1.into();
        let error = (twin.accepts)(&config.to_string(), &env(10)).unwrap_err();
        assert!(error.contains("no-such-key"), "{}: {error}", twin.name);
    }
}
