//! `limbeck bench`: what one step costs on this machine, with random weights.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use limbeck::bench::distill::{Sizes, Step};
use limbeck::bench::input;
use limbeck::bench::machine;
use limbeck::diffusion::guidance::Guided;
use limbeck::diffusion::sampler::Denoiser as _;
use limbeck::progress::Progress;
use limbeck::seed::{Purpose, rng};
use limbeck::{Error, Result};
use limbeck_models::Params;
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::ops::profile;
use rand::Rng as _;
use rand_distr::StandardNormal;
use serde_json::{Map, Value, json};

use crate::cli::{BenchArgs, BenchCommand, BenchDistillArgs, BenchInputArgs, BenchSampleArgs};

/// The seed of weights and images; the figures don't depend on it.
const SEED: u64 = 0;

pub fn bench(command: &BenchCommand, progress: &Progress) -> Result<()> {
    match command {
        BenchCommand::Sample(args) => sample(args, progress),
        BenchCommand::Distill(args) => distill(args, progress),
        BenchCommand::Backend(args) => super::bench_backend::bench(args, progress),
        BenchCommand::Input(args) => load(args, progress),
        BenchCommand::Policy(args) => super::bench_policy::bench(args, progress),
    }
}

/// One call of the denoiser with guidance, which doubles the batch. `images_per_second` counts images through one step.
fn sample(args: &BenchSampleArgs, progress: &Progress) -> Result<()> {
    let device = args.common.device.device.open()?;
    let config = DitConfig::named(&args.model, args.latent_size as usize)?;
    let random = Params::from_seed(SEED, &device);
    Dit::new(&config, &random)?;
    let net = Dit::new(&config, &Params::frozen(random.state(), DType::F32, &device))?;
    let batch = args.batch as usize;
    let x = noise((batch, config.channels, config.size, config.size), &device)?;
    let classes = (0..batch).map(|i| (i % config.classes) as u32).collect();
    let denoiser = Guided::new(&net, classes, 2.0, config.channels);
    let times = measure(&args.common, 1, &device, || denoiser.predict(&x, 500).map(|_| ()))?;
    let sizes = json!({ "model": args.model, "batch": batch, "latent_size": config.size, "guided": true });
    report(progress, "sample", &args.common, &times, batch, sizes)
}

/// One step of distillation: the teacher forwards, the student both ways, SGD.
fn distill(args: &BenchDistillArgs, progress: &Progress) -> Result<()> {
    let sizes = Sizes {
        teacher: args.teacher.clone(),
        student: args.student.clone(),
        batch: args.batch as usize,
        image_size: args.image_size as usize,
        classes: args.classes as usize,
    };
    let device = args.common.device.device.open()?;
    let mut step = Step::new(&sizes, &device)?;
    let mut spent = Vec::new();
    let times = measure(&args.common, 2, &device, || {
        profile::take();
        let started = Instant::now();
        step.run()?;
        device.synchronize()?;
        spent.push((started.elapsed().as_secs_f64(), profile::take()));
        Ok(())
    })?;
    let memory = machine::peak_memory();
    let Sizes { teacher, student, batch, image_size, classes } = &sizes;
    let mut shown = json!({
        "teacher": teacher, "student": student, "batch": batch, "image_size": image_size, "classes": classes
    });
    if let Some((seconds, spent)) = spent.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))
        && device.is_cpu()
    {
        // By the definition of a convolution: fewer multiplications show as more than the peak.
        let (speed, peak) = (spent.operations / seconds, machine::matmul_peak());
        shown["gflop"] = rounded(spent.operations / 1e9);
        shown["gflop_per_second"] = rounded(speed / 1e9);
        shown["matmul_peak_gflop_per_second"] = rounded(peak / 1e9);
        shown["share_of_matmul_peak"] = rounded(speed / peak);
        shown["share_convolution"] = rounded(spent.convolution / seconds);
        shown["share_normalisation"] = rounded(spent.normalisation / seconds);
        shown["share_outside"] = rounded(1.0 - spent.seconds() / seconds);
        shown["peak_memory_mib"] = memory.map_or(Value::Null, |bytes| rounded(bytes as f64 / f64::from(1 << 20)));
    }
    report(progress, "distill", &args.common, &times, *batch, shown)
}

/// Batches of images from the disk. What is ready when the clock starts was not made within its time, so all that can wait is
/// taken first, and every step has the mean time of all.
fn load(args: &BenchInputArgs, progress: &Progress) -> Result<()> {
    let (batch, workers) = (args.batch as usize, args.workers as usize);
    let unmeasured = 3 * workers as u64;
    let mut batches = input::Batches::start(&input::Sizes {
        images: args.images.clone(),
        batch,
        side: args.image_size as usize,
        workers,
        // The workers don't run dry before the end: as many wait there as did at the start.
        batches: 2 * unmeasured + args.common.steps,
    })?;
    for _ in 0..unmeasured {
        batches.take()?;
    }
    let started = Instant::now();
    for _ in 0..args.common.steps {
        batches.take()?;
    }
    let mean = started.elapsed() / u32::try_from(args.common.steps).unwrap_or(u32::MAX);
    let shown = json!({
        "images": batches.images, "batch": batch, "image_size": args.image_size, "workers": workers
    });
    report(progress, "input", &args.common, &[mean], batch, shown)
}

/// To a thousandth, for reading.
fn rounded(value: f64) -> Value {
    ((value * 1e3).round() / 1e3).into()
}

/// Standard normal numbers of this shape.
fn noise(shape: (usize, usize, usize, usize), device: &Device) -> Result<Tensor> {
    let mut random = rng(SEED, Purpose::Noise, 0);
    let count = shape.0 * shape.1 * shape.2 * shape.3;
    let values: Vec<f32> = (0..count).map(|_| random.sample(StandardNormal)).collect();
    Ok(Tensor::from_vec(values, shape, device)?)
}

/// Does `step` some times for nothing, then times it; the device is idle at both ends of each time.
fn measure(
    args: &BenchArgs,
    unmeasured: u64,
    device: &Device,
    mut step: impl FnMut() -> Result<()>,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for i in 0..unmeasured + args.steps {
        let started = Instant::now();
        step()?;
        device.synchronize()?;
        if i >= unmeasured {
            times.push(started.elapsed());
        }
    }
    times.sort();
    Ok(times)
}

/// Prints the median of the sorted `times`.
fn report(
    progress: &Progress,
    what: &str,
    args: &BenchArgs,
    times: &[Duration],
    batch: usize,
    sizes: Value,
) -> Result<()> {
    let seconds = |at: usize| times.get(at).map_or(f64::NAN, Duration::as_secs_f64);
    let median = (seconds((times.len() - 1) / 2) + seconds(times.len() / 2)) / 2.0;
    let (threads, device) = (rayon::current_num_threads(), args.device.device);
    let Value::Object(sizes) = sizes else { return Err(Error::failed("sizes of a benchmark are a table")) };
    if args.json {
        let mut line = Map::from_iter([("bench".to_owned(), what.into())]);
        line.extend(sizes);
        line.insert("ms_per_step".into(), (median * 1e3).into());
        line.insert("ms_fastest".into(), (seconds(0) * 1e3).into());
        line.insert("images_per_second".into(), (batch as f64 / median).into());
        line.insert("steps".into(), args.steps.into());
        line.insert("threads".into(), threads.into());
        line.insert("device".into(), device.to_string().into());
        progress.data(Value::Object(line));
    } else {
        let sizes: Vec<_> = sizes.iter().map(|(key, value)| format!("{key} {value}").replace('"', "")).collect();
        progress.data(format_args!(
            "{what} on {device} with {threads} threads, {}: {:.1} ms a step, {:.1} images/s",
            sizes.join(", "),
            median * 1e3,
            batch as f64 / median
        ));
    }
    Ok(())
}
