//! What the sandbox adds: `linear` as a component and natively, on the same three columns, in turns. Before each call the
//! columns are computed from logits, as in a training step, so that neither finds its code and data in the nearest caches.
//! Prints one JSON object.
//!
//! `cargo run --release --workspace --example policy_twin -- dist/policies/linear.wasm [SAMPLES] [CLASSES] [CALLS]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use limbeck::bench::policy::Images;
use limbeck::policy::{Columns, Env, Limits, Numbers, Policy, Sandbox, When, compute};
use limbeck_policy::{Policy as _, Table, Weigher as _, configure};
use limbeck_policy_linear::Linear;

const CONFIG: &str = r#"{"columns": {"teacher.p-class": 1, "student.p-class": -1, "kl": 0.5}, "bias": 1}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = PathBuf::from(arguments.next().ok_or("the component of `linear` is missing")?);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (samples, classes, calls) = (number(256)?, number(1000)?, number(2000)?);

    let env = Env { config_json: CONFIG.into(), classes: classes as u32, feature_dim: 0, total_steps: calls as u64 };
    let policy = Policy::open(&Sandbox::new()?, &file)?;
    let mut sandboxed = policy.start(&env, 0, &Limits::default(), Arc::new(|_, _| {}))?;
    let mut native: Linear =
        configure(CONFIG, &limbeck_policy::Env { classes: env.classes, ..limbeck_policy::Env::default() })?;
    let images = Images::new(0..samples, classes, &native.needs());

    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for step in 0..calls as u64 {
        let began = Instant::now();
        let columns = compute(&images.source(), &native.needs())?;
        times[0].push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let weights = sandboxed.weigh(columns, When { step, ..When::default() })?;
        times[1].push(began.elapsed().as_secs_f64());
        let table = table(&compute(&images.source(), &native.needs())?);
        let began = Instant::now();
        let expected = native.weigh(&table)?;
        times[2].push(began.elapsed().as_secs_f64());
        assert_eq!(weights, expected, "the twins differ");
    }
    let [lend, run, native] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] * 1e6
    });
    println!(
        "{}",
        serde_json::json!({
            "policy": "linear", "samples": samples, "classes": classes, "calls": calls,
            "lend_us": lend, "run_and_check_us": run, "native_us": native, "beyond_native_us": run - native,
        })
    );
    Ok(())
}

fn table(columns: &Columns) -> Table {
    columns.iter().fold(Table::new(columns.rows()), |table, (name, _, numbers)| match numbers {
        Numbers::F32(numbers) => table.with_f32s(name, numbers.clone()),
        Numbers::U64(numbers) => table.with_u64s(name, numbers.clone()),
    })
}
