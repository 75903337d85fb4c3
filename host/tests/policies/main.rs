//! The policies that Limbeck ships, as users run them.

#[path = "../common/components.rs"]
mod components;
mod languages;
mod pool;
mod twins;

use std::sync::Arc;

use components::component;
use limbeck::policy::{Env, Limits, Policy, Role, Sandbox, SandboxedWeigher, StepColumns, Weigher, inspect};
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
