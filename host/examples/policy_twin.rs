//! What the sandbox adds: `linear` as a component and natively, on the same three columns. Prints one JSON object.
//!
//! `cargo run --release --workspace --example policy_twin -- dist/policies/linear.wasm [SAMPLES] [CLASSES]`

use std::path::PathBuf;
use std::time::Instant;

use limbeck::bench::policy::{Images, Sizes, measure};
use limbeck::policy::{Columns, Limits, Numbers, Role, compute};
use limbeck_policy::{Env, Policy as _, Table, Weigher as _, configure};
use limbeck_policy_linear::Linear;

const CONFIG: &str = r#"{"columns": {"teacher.p-class": 1, "student.p-class": -1, "kl": 0.5}, "bias": 1}"#;
const CALLS: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = PathBuf::from(arguments.next().ok_or("the component of `linear` is missing")?);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let sizes = Sizes { samples: number(256)?, classes: number(1000)?, budget: 1, calls: CALLS };
    let costs = measure(&file, CONFIG, &sizes, &Limits::default())?;
    let sandboxed = costs.iter().find(|cost| cost.role == Role::Weigher).ok_or("it is no weigher")?;

    let env = Env { classes: sizes.classes as u32, ..Env::default() };
    let mut native: Linear = configure(CONFIG, &env)?;
    let images = Images::new(sizes.samples, sizes.classes, &native.needs());
    let columns = compute(&images.source(), &native.needs())?;
    let mut times: Vec<f64> = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let table = table(&columns);
        let began = Instant::now();
        std::hint::black_box(native.weigh(&table)?);
        times.push(began.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let (native, run, check) = (times[CALLS / 2] * 1e6, sandboxed.run * 1e6, sandboxed.check * 1e6);
    println!(
        "{}",
        serde_json::json!({
            "policy": "linear", "samples": sizes.samples, "classes": sizes.classes, "calls": CALLS,
            "lend_us": sandboxed.lend * 1e6, "run_us": run, "check_us": check, "native_us": native,
            "beyond_native_us": run + check - native,
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
