//! `limbeck bench policy`: what a call of a policy costs.

use std::time::Duration;

use limbeck::Result;
use limbeck::bench::policy::{self, Cost};
use limbeck::policy::Limits;
use limbeck::progress::Progress;
use serde_json::{Map, Value, json};

use crate::cli::BenchPolicyArgs;

/// A call of a policy in each of its roles; columns and reply are of `--samples` made-up images.
pub fn bench(args: &BenchPolicyArgs, progress: &Progress) -> Result<()> {
    let sizes = policy::Sizes {
        samples: args.samples as usize,
        classes: args.classes as usize,
        budget: args.budget.unwrap_or(args.samples.div_ceil(10)) as usize,
        calls: args.calls as usize,
    };
    let (memory, time) = ((args.memory_mib as usize) << 20, Duration::from_secs(3600));
    let costs = policy::measure(&args.file, &args.config, &sizes, &Limits { fuel: args.fuel, memory, time })?;
    let threads = rayon::current_num_threads();
    if args.json {
        let roles: Map<String, Value> =
            costs.iter().map(|cost| (cost.role.name().to_owned(), figures(cost, &sizes))).collect();
        let name = costs.first().map_or("", |cost| cost.used.name.as_str());
        progress.data(json!({
            "bench": "policy", "policy": name, "samples": sizes.samples, "classes": sizes.classes,
            "budget": sizes.budget, "calls": sizes.calls, "threads": threads, "device": "cpu", "roles": roles,
        }));
        return Ok(());
    }
    for cost in &costs {
        let figures = figures(cost, &sizes);
        progress.data(format_args!(
            "{} as {}, {} samples, {} classes, {threads} threads: {} µs to lend, {} µs to run, {} µs to check; {} units of \
             fuel a call, {} MiB of memory at most",
            cost.used.name, cost.role, sizes.samples, sizes.classes, figures["lend_us"], figures["run_us"], figures["check_us"],
            figures["fuel_per_call"], figures["peak_memory_mib"]
        ));
    }
    Ok(())
}

/// The medians of a role, and what its calls used.
fn figures(cost: &Cost, sizes: &policy::Sizes) -> Value {
    let whole = cost.lend + cost.run + cost.check;
    // `describe` and `init` are calls too, and use next to nothing.
    let calls = sizes.calls as f64 + 1.0;
    json!({
        "ms_per_step": whole * 1e3,
        "images_per_second": sizes.samples as f64 / whole,
        "lend_us": rounded(cost.lend * 1e6),
        "run_us": rounded(cost.run * 1e6),
        "check_us": rounded(cost.check * 1e6),
        "fuel_per_call": (cost.used.fuel as f64 / calls).round(),
        "lent_bytes_per_call": (cost.used.lent_bytes as f64 / calls).round(),
        "peak_memory_mib": mib(cost.used.peak_memory_bytes),
        "process_peak_memory_mib": cost.process_peak.map(mib),
    })
}

fn mib(bytes: u64) -> f64 {
    rounded(bytes as f64 / f64::from(1 << 20))
}

/// To a thousandth, for reading.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
