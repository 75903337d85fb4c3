//! Guests that mean harm.
use super::*;
use std::path::Path;
use std::sync::Arc;

#[test]
fn smoke() {
    let path = Path::new("../target/wasm32-wasip2/release/limbeck_policy_uniform.wasm");
    let t = std::time::Instant::now();
    let policy = Policy::open(&Sandbox::new().unwrap(), path).unwrap();
    println!("compile {:?} {:#?}", t.elapsed(), policy.imports());
    let env = Env { config_json: "{}".into(), classes: 3, feature_dim: 0, total_steps: 0 };
    let mut w =
        SandboxedWeigher::start(&policy, &env, 0, &Limits::default(), Arc::new(|l, m: &str| println!("{l} {m}")))
            .unwrap();
    let logits = [0.0; 6];
    let s = StepColumns {
        epoch: 0,
        step: 0,
        classes: &[0, 1],
        ids: &[0, 1],
        teacher_logits: &logits,
        student_logits: &[],
        classes_total: 3,
    };
    assert_eq!(w.weigh(s).unwrap(), [1.0, 1.0]);
    println!("{:?} {:?}", w.usage(), inspect(path, "{\"a\":1}").map_err(|e| e.to_string()));
}
