//! Every policy that Limbeck ships, as the component that users run and as its native twin: equal bit for bit.

#[path = "common/components.rs"]
mod components;

use std::sync::Arc;

use components::component;
use limbeck::policy::{
    Column, Columns, Env, Limits, Numbers, Policy, Role, Sandbox, SandboxedWeigher, Source, StepColumns, Weigher, When,
    compute, inspect,
};
use limbeck::seed::{Purpose, rng};
use limbeck_policy::{Scorer, Selector, Table, configure};
use rand::Rng;

const CLASSES: usize = 10;
const ROWS: usize = 257;
const FEATURES: usize = 5;

/// A pool with everything that a column can be made of: sure and unsure teachers, an early student.
struct Pool {
    class: Vec<u32>,
    id: Vec<u64>,
    teacher: Vec<f32>,
    student: Vec<f32>,
    features: Vec<f32>,
    given: Vec<Column>,
}

impl Pool {
    fn new() -> Self {
        let mut random = rng(3, Purpose::Subset, 0);
        let mut logits =
            |scale: f32| (0..ROWS * CLASSES).map(|_| random.random_range(-scale..scale)).collect::<Vec<f32>>();
        let (teacher, student) = (logits(12.0), logits(2.0));
        let features = (0..ROWS * FEATURES).map(|_| random.random_range(0.0..1.0)).collect();
        let mut float = |name: &str, width: usize, range: std::ops::Range<f32>| {
            Column::f32s(name, width, (0..ROWS * width).map(|_| random.random_range(range.clone())).collect())
        };
        let mut given = vec![
            float("guidance", 1, 1.0..4.0),
            float("external", 1, 0.0..1.0),
            float("student.features", FEATURES, -1.0..1.0),
            float("history.loss", 1, 0.0..3.0),
            float("history.mean-loss", 1, 0.0..3.0),
            float("history.kl", 1, 0.0..3.0),
            float("history.margin", 1, -3.0..3.0),
            float("history.p-class", 1, 0.0..1.0),
            float("history.p-class-std", 1, 0.0..0.5),
            float("class.loss", 1, 0.0..3.0),
            float("class.lag", 1, -1.0..1.0),
        ];
        for (name, most) in [("steps", 100), ("seed", 9), ("round", 3), ("history.seen", 9), ("history.forgotten", 4)] {
            given.push(Column::u64s(name, (0..ROWS).map(|_| random.random_range(0..most)).collect()));
        }
        given.push(Column::u64s("class.count", (0..ROWS).map(|_| random.random_range(1..900)).collect()));
        Self {
            class: (0..ROWS).map(|_| random.random_range(0..CLASSES as u32)).collect(),
            id: (0..ROWS as u64).map(|row| 1000 + 3 * row).collect(),
            teacher,
            student,
            features,
            given,
        }
    }

    fn columns(&self, needs: &[String]) -> Columns {
        let source = Source {
            classes: CLASSES,
            class: &self.class,
            id: &self.id,
            teacher: Some(&self.teacher),
            student: Some(&self.student),
            features: Some((&self.features, FEATURES)),
            given: &self.given,
            first: 0,
        };
        compute(&source, needs).expect("the columns of a sound pool")
    }
}

/// The same columns for the native twin.
fn table(columns: &Columns) -> Table {
    columns.iter().fold(Table::new(columns.rows()), |table, (name, _, numbers)| match numbers {
        Numbers::F32(numbers) => table.with_f32s(name, numbers.clone()),
        Numbers::U64(numbers) => table.with_u64s(name, numbers.clone()),
    })
}

fn start(name: &str, role: Role, config: &str) -> limbeck::policy::PolicyInstance {
    let policy = Policy::open(&Sandbox::new().unwrap(), &component(name)).unwrap();
    assert_eq!(policy.roles(), [role]);
    let env =
        Env { config_json: config.into(), classes: CLASSES as u32, feature_dim: FEATURES as u32, total_steps: 100 };
    let instance = policy.start(&env, 0, &Limits::default(), Arc::new(|_, line| panic!("{line}"))).unwrap();
    assert_eq!(instance.info().name, name);
    instance
}

fn native<P: limbeck_policy::Policy>(config: &str) -> P {
    configure(config, &limbeck_policy::Env { classes: CLASSES as u32, feature_dim: FEATURES as u32, total_steps: 100 })
        .unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[track_caller]
fn weighs_alike<P: limbeck_policy::Weigher>(config: &str) {
    let mut instance = start(P::NAME, Role::Weigher, config);
    let columns = Pool::new().columns(&instance.setup().needs);
    let want = native::<P>(config).weigh(&table(&columns)).unwrap();
    let got = instance.weigh(columns, When::default()).unwrap();
    assert_eq!(bits(&got), bits(&want), "{} {config}", P::NAME);
}

#[test]
fn weighers_agree_with_their_native_twins() {
    weighs_alike::<limbeck_policy_uniform::Uniform>("{}");
    weighs_alike::<limbeck_policy_confidence::Confidence>("{}");
    weighs_alike::<limbeck_policy_confidence::Confidence>(r#"{"gamma": 0.37}"#);
    weighs_alike::<limbeck_policy_entropy_weight::EntropyWeight>("{}");
    weighs_alike::<limbeck_policy_focal_kd::FocalKd>("{}");
    weighs_alike::<limbeck_policy_focal_kd::FocalKd>(r#"{"gamma": 0.5, "floor": 0.2}"#);
}

#[track_caller]
fn scores_alike<P: Scorer>(config: &str) {
    let mut instance = start(P::NAME, Role::Scorer, config);
    let columns = Pool::new().columns(&instance.setup().needs);
    let mut twin = native::<P>(config);
    assert_eq!(instance.setup().reasons, twin.reasons());
    let want = twin.score(&table(&columns)).unwrap();
    let got = instance.score(columns, When::default()).unwrap();
    assert_eq!(bits(&got.values), bits(&want.values), "{} {config}", P::NAME);
    let vetoes: Vec<_> = got.vetoes.iter().map(|veto| (veto.row, veto.reason)).collect();
    assert_eq!(vetoes, want.vetoes.iter().map(|veto| (veto.row, veto.reason)).collect::<Vec<_>>());
}

#[test]
fn scorers_agree_with_their_native_twins() {
    scores_alike::<limbeck_policy_teacher_filter::TeacherFilter>("{}");
    scores_alike::<limbeck_policy_teacher_filter::TeacherFilter>(r#"{"top": 3, "min-probability": 0.01}"#);
    scores_alike::<limbeck_policy_entropy::Entropy>("{}");
    scores_alike::<limbeck_policy_entropy::Entropy>(r#"{"prefer": "certain"}"#);
}

#[test]
fn selectors_agree_with_their_native_twins() {
    let mut instance = start("class-balance", Role::Selector, "{}");
    let columns = Pool::new().columns(&instance.setup().needs);
    for budget in [0, 1, 100, ROWS as u32, 10_000] {
        let want = native::<limbeck_policy_class_balance::ClassBalance>("{}").select(&table(&columns), budget).unwrap();
        let got = instance.select(columns.clone(), budget, When::default()).unwrap();
        assert_eq!(got.keep, want.keep, "{budget}");
        assert_eq!(got.vetoes.len(), want.vetoes.len());
    }
}

#[test]
fn the_trainer_gets_weights_of_mean_one() {
    let pool = Pool::new();
    let policy = Policy::open(&Sandbox::new().unwrap(), &component("focal-kd")).unwrap();
    let env = Env { config_json: "{}".into(), classes: CLASSES as u32, feature_dim: 0, total_steps: 1 };
    let mut weigher = SandboxedWeigher::start(&policy, &env, 0, &Limits::default(), Arc::new(|_, _| {})).unwrap();
    let step = StepColumns {
        epoch: 0,
        step: 0,
        classes: &pool.class,
        ids: &pool.id,
        teacher_logits: &pool.teacher,
        student_logits: &pool.student,
        classes_total: CLASSES,
        given: &[],
    };
    let weights = weigher.weigh(step).unwrap();
    let mean = weights.iter().sum::<f32>() / weights.len() as f32;
    assert!((mean - 1.0).abs() < 1e-5, "{mean}");

    let state = weigher.save().unwrap();
    weigher.restore(&state).unwrap();
    assert!(weigher.restore(&[1, 0, 0, 0, 9]).unwrap_err().to_string().contains("keeps no state"));
    assert!(weigher.restore(&[1]).unwrap_err().to_string().contains("cut off"));
    weigher.epoch_end(0, r#"{"loss": 0.5}"#).unwrap();

    let diverged = vec![f32::NAN; pool.student.len()];
    let error = weigher.weigh(StepColumns { student_logits: &diverged, ..step }).unwrap_err();
    assert!(error.to_string().contains("not finite") && error.exit_code() == 1, "{error}");
    let usage = weigher.usage();
    assert!(usage.fuel > 0 && usage.lent_bytes == 4 * ROWS as u64 && usage.name == "focal-kd", "{usage:?}");
}

#[test]
fn a_misspelt_configuration_is_a_fault_of_the_recipe() {
    let policy = Policy::open(&Sandbox::new().unwrap(), &component("teacher-filter")).unwrap();
    let env = Env { config_json: r#"{"min-probabilty": 0.5}"#.into(), classes: 10, feature_dim: 0, total_steps: 0 };
    let error = policy.start(&env, 0, &Limits::default(), Arc::new(|_, _| {})).map(drop).unwrap_err();
    assert!(error.is_input());
    assert!(
        error.to_string().contains("unknown field `min-probabilty`, expected `top` or `min-probability`"),
        "{error}"
    );
    let error = policy.role(&[Role::Weigher]).unwrap_err().to_string();
    assert!(error.contains("is a scorer, and the recipe names it where a weigher belongs"), "{error}");
}

#[test]
fn inspection_tells_what_a_policy_is() {
    let seen = inspect(&component("teacher-filter"), r#"{"top": 2}"#).unwrap();
    assert_eq!((seen.name.as_str(), seen.roles.as_slice()), ("teacher-filter", &["scorer".to_owned()][..]));
    assert_eq!(seen.needs, ["teacher.rank-class", "teacher.p-class"]);
    assert_eq!(seen.reasons[0], "the class is not among the teacher's first 2");
    assert!(seen.imports.iter().any(|name| name.starts_with("wasi:")), "std imports WASI, and it links");
    assert_eq!(seen.sha256.len(), 64);
}
