//! The policies that Limbeck ships, as users run them.

#[path = "../common/components.rs"]
mod components;
mod languages;
mod pool;
mod twins;

use std::sync::Arc;

use components::component;
use limbeck::policy::{
    ChainedWeigher, Env, Limits, Policy, Role, Sandbox, SandboxedWeigher, StepColumns, Weigher, inspect,
};
use pool::Pool;

const CLASSES: usize = 10;
const ROWS: usize = 257;

#[test]
fn the_trainer_gets_weights_of_mean_one() {
    let pool = Pool::random(ROWS, CLASSES);
    let policy = Policy::open(&Sandbox::new().unwrap(), &component("focal-kd")).unwrap();
    let env = Env { config_json: "{}".into(), classes: CLASSES as u32, feature_dim: 0, total_steps: 1 };
    let mut weigher = SandboxedWeigher::start(&policy, &env, 0, &Limits::default(), Arc::new(|_, _| {})).unwrap();
    let step = StepColumns {
        round: 0,
        epoch: 0,
        step: 0,
        classes: &pool.class,
        ids: &pool.id,
        teacher_logits: &pool.teacher,
        student_logits: &pool.student,
        given: &[],
        classes_total: CLASSES,
    };
    let weights = weigher.weigh(step).unwrap();
    let mean = weights.iter().sum::<f32>() / weights.len() as f32;
    assert!((mean - 1.0).abs() < 1e-5, "{mean}");

    let state = weigher.save().unwrap();
    weigher.restore(&state).unwrap();
    assert!(weigher.restore(&[&state[..], &[9]].concat()).unwrap_err().to_string().contains("keeps no state"));
    assert!(weigher.restore(&[1]).unwrap_err().to_string().contains("cut off"));
    weigher.epoch_end(0, r#"{"loss": 0.5}"#).unwrap();

    let diverged = vec![f32::NAN; pool.student.len()];
    let error = weigher.weigh(StepColumns { student_logits: &diverged, ..step }).unwrap_err();
    assert!(error.to_string().contains("not finite") && error.exit_code() == 1, "{error}");
    let usage = weigher.usage();
    assert!(usage.fuel > 0 && usage.lent_bytes == 4 * ROWS as u64 && usage.name == "focal-kd", "{usage:?}");
}

/// A chain that prefers (`confidence`), remembers (`aum`) and prefers again (`focal-kd`).
#[test]
fn chained_weighers_multiply_and_survive_a_checkpoint() {
    let pool = Pool::random(ROWS, CLASSES);
    let sandbox = Sandbox::new().unwrap();
    let start = |name: &str, config: &str| {
        let policy = Policy::open(&sandbox, &component(name)).unwrap();
        let env = Env { config_json: config.into(), classes: CLASSES as u32, feature_dim: 0, total_steps: 100 };
        SandboxedWeigher::start(&policy, &env, 0, &Limits::default(), Arc::new(|_, _| {})).unwrap()
    };
    let links = || vec![start("confidence", "{}"), start("aum", r#"{"warm-up": 1}"#), start("focal-kd", "{}")];
    let step = |step| StepColumns {
        round: 0,
        epoch: step as u32,
        step,
        classes: &pool.class,
        ids: &pool.id,
        teacher_logits: &pool.teacher,
        student_logits: &pool.student,
        given: &[],
        classes_total: CLASSES,
    };
    let mut chain = ChainedWeigher::new(links());
    let product: Vec<f64> = links().iter_mut().fold(vec![1.0; ROWS], |product, link| {
        let weights = link.weigh(step(0)).unwrap();
        product.iter().zip(weights).map(|(all, one)| all * f64::from(one)).collect()
    });
    let mean = product.iter().sum::<f64>() / ROWS as f64;
    let weights = chain.weigh(step(0)).unwrap();
    for (found, product) in weights.iter().zip(product) {
        assert!(
            (f64::from(*found) - product / mean).abs() < 1e-4 * (1.0 + product / mean),
            "{found} {}",
            product / mean
        );
    }
    assert_eq!(chain.links().len(), 3);
    let calls = chain.links().iter().map(|link| link.calls).sum::<u64>();
    assert_eq!((chain.usage().name.as_str(), chain.usage().calls), ("confidence × aum × focal-kd", calls));
    assert!(chain.links().iter().all(|link| link.calls > 0));

    let state = chain.save().unwrap();
    let mut resumed = ChainedWeigher::new(links());
    resumed.restore(&state).unwrap();
    assert_eq!(chain.weigh(step(1)).unwrap(), resumed.weigh(step(1)).unwrap());
    // What was used is counted on, and what it took to take it up is not.
    for (whole, resumed) in chain.links().iter().zip(resumed.links()) {
        assert_eq!((whole.calls, whole.lent_bytes), (resumed.calls, resumed.lent_bytes), "{}", whole.name);
        let fuel = resumed.fuel as f64 / whole.fuel as f64;
        assert!((0.9..=1.1).contains(&fuel), "{}: {fuel}", whole.name);
    }
    let error = resumed.restore(&state[..state.len() - 1]).unwrap_err().to_string();
    assert!(error.contains("link 3 of `distill.weighers`"), "{error}");
    let diverged = vec![f32::NAN; pool.student.len()];
    let error = chain.weigh(StepColumns { student_logits: &diverged, ..step(2) }).unwrap_err().to_string();
    assert!(error.starts_with("link ") && error.contains(" of `distill.weighers`: "), "{error}");
}

#[test]
fn a_misspelt_configuration_is_a_fault_of_the_recipe() {
    let policy = Policy::open(&Sandbox::new().unwrap(), &component("teacher-filter")).unwrap();
    let env = Env { config_json: r#"{"min-probabilty": 0.5}"#.into(), classes: 10, feature_dim: 0, total_steps: 0 };
    let error = policy.start(&env, 0, &Limits::default(), Arc::new(|_, _| {})).map(drop).unwrap_err();
    assert!(error.is_input());
    assert!(
        error
            .to_string()
            .contains("unknown field `min-probabilty`, expected one of `top`, `min-probability`, `above-chance`"),
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
