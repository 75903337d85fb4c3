//! The first stage: the generator draws labelled images into the shards of the pool.

use candle_core::{Device, Tensor};
use limbeck_models::parallel;

use crate::diffusion::generator::Generator;
use crate::diffusion::guidance::Guided;
use crate::diffusion::noise::Noise;
use crate::diffusion::sampler::Sampler;
use crate::diffusion::schedule::Schedule;
use crate::plan::{Plan, Sampler as Method, SynthPlan};
use crate::pool::{self, Image, Pool, Provenance, Sample};
use crate::progress::{Bar, Progress};
use crate::run_dir::RunDir;
use crate::{Error, Result};

/// The round of a run without a planner.
const ROUND: u32 = 0;

/// Samples of each class on the contact sheet, and how much its images are enlarged.
const SHEET_COLUMNS: usize = 20;
const SHEET_SCALE: u32 = 2;

/// Draws every shard that is not there yet, then the contact sheet. Sample `i` is of class `i mod classes`, and its noise
/// is stream `i` of the run's seed.
pub fn run(plan: &Plan, run: &RunDir, progress: &Progress, device: &Device) -> Result<()> {
    let synth = &plan.synth;
    let shards = synth.images.div_ceil(synth.shard);
    let count = |shard: usize| synth.shard.min(synth.images - shard * synth.shard);
    let mut missing = Vec::new();
    for shard in 0..shards {
        if !pool::shard_done(run, ROUND, shard as u32, count(shard))? {
            missing.push(shard);
        }
    }
    if !missing.is_empty() {
        let artist = Artist::new(plan, progress, device)?;
        let done: usize = synth.images - missing.iter().map(|&shard| count(shard)).sum::<usize>();
        artist.bar.advance(done as u64);
        for shard in missing {
            let first = (shard * synth.shard) as u64;
            let ids: Vec<u64> = (first..first + count(shard) as u64).collect();
            pool::write_shard(run, ROUND, shard as u32, &artist.draw(&ids)?)?;
        }
        artist.bar.finish();
    }
    contact_sheet(plan, run)
}

/// Refuses a generator that can't draw what the plan asks for.
pub fn check(plan: &Plan, generator: &Generator) -> Result<()> {
    let model = &generator.config.model;
    let shown = plan.generator.weights.display();
    let complaint = if model.classes != plan.data.classes {
        format!(
            "draws {} classes, `data.classes` is {}: name a generator of these classes",
            model.classes, plan.data.classes
        )
    } else if model.channels != 1 && model.channels != 3 {
        format!("draws {} channels: only grey (1) and RGB (3) images can be drawn", model.channels)
    } else if plan.synth.steps > generator.config.steps {
        format!(
            "was trained with {} steps, `synth.steps` is {}: take at most these",
            generator.config.steps, plan.synth.steps
        )
    } else {
        return Ok(());
    };
    Err(Error::input(format!("generator `{shown}` {complaint}")))
}

/// The picture of the pool, rows by class.
fn contact_sheet(plan: &Plan, run: &RunDir) -> Result<()> {
    let path = format!("{}/contact-sheet.png", pool::round_dir(ROUND));
    if run.join(&path).exists() {
        return Ok(());
    }
    let pool = Pool::read(run, ROUND)?;
    let of_class = |class| pool.samples.iter().filter(move |sample| sample.class == class).take(SHEET_COLUMNS);
    let shown: Vec<&Sample> = (0..plan.data.classes as u32).flat_map(of_class).collect();
    run.write_atomic(&path, &pool::contact_sheet(&shown, SHEET_COLUMNS, SHEET_SCALE)?)
}

/// What draws: the generator, its chain of steps and the progress bar.
struct Artist<'a> {
    plan: &'a Plan,
    generator: Generator,
    schedule: Schedule,
    guided_channels: usize,
    bar: Bar,
    device: &'a Device,
}

impl<'a> Artist<'a> {
    fn new(plan: &'a Plan, progress: &Progress, device: &'a Device) -> Result<Self> {
        let generator = Generator::open(&plan.generator.weights, device)?;
        check(plan, &generator)?;
        let SynthPlan { steps, images, .. } = plan.synth;
        let schedule = Schedule::respaced(generator.config.schedule, generator.config.steps, steps);
        let guided_channels = plan.synth.guided_channels.unwrap_or(generator.config.model.channels);
        let bar = progress.stage("synth", images as u64, "images");
        Ok(Self { plan, generator, schedule, guided_channels, bar, device })
    }

    /// The samples of these ids, in batches; on the CPU, one batch a thread.
    fn draw(&self, ids: &[u64]) -> Result<Vec<Sample>> {
        let batches: Vec<&[u64]> = ids.chunks(self.plan.synth.batch).collect();
        let draw = |batch: &&[u64]| {
            let samples = self.draw_batch(batch)?;
            self.bar.advance(batch.len() as u64);
            Ok(samples)
        };
        let drawn: Vec<Result<Vec<Sample>>> =
            if self.device.is_cpu() { parallel::map(&batches, draw) } else { batches.iter().map(draw).collect() };
        Ok(drawn.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    fn draw_batch(&self, ids: &[u64]) -> Result<Vec<Sample>> {
        let SynthPlan { sampler, guidance, eta, .. } = self.plan.synth;
        let model = &self.generator.config.model;
        let classes: Vec<u32> = ids.iter().map(|id| (id % model.classes as u64) as u32).collect();
        let scale = f64::from(guidance);
        let denoiser = Guided::new(&self.generator.net, classes.clone(), scale, self.guided_channels);
        let shape = [model.channels, model.size, model.size];
        let mut noise = Noise::new(self.plan.run.seed, ids, shape, self.device);
        let done = std::cell::Cell::new(0);
        let on_step = || {
            done.set(done.get() + 1);
            self.bar.message(format_args!("step {}/{}", done.get(), self.schedule.steps.len()));
        };
        let sampling = Sampler { schedule: &self.schedule, clip: true, on_step: &on_step };
        let images = match sampler {
            Method::Ddpm => sampling.ddpm(&denoiser, &mut || noise.draw())?,
            Method::Ddim => sampling.ddim(&denoiser, &mut || noise.draw(), f64::from(eta))?,
        };
        let pixels = to_bytes(&images)?;
        let each = shape.iter().product();
        let sample = |((&id, class), pixels): ((&u64, u32), &[u8])| self.sample(id, class, pixels);
        Ok(ids.iter().zip(classes).zip(pixels.chunks_exact(each)).map(sample).collect())
    }

    fn sample(&self, id: u64, class: u32, pixels: &[u8]) -> Sample {
        let model = &self.generator.config.model;
        let SynthPlan { sampler, guidance, steps, .. } = self.plan.synth;
        let sampler = match sampler {
            Method::Ddpm => "ddpm",
            Method::Ddim => "ddim",
        };
        Sample {
            id,
            class,
            image: Image { channels: model.channels, height: model.size, width: model.size, pixels: pixels.to_vec() },
            provenance: Provenance {
                class,
                guidance,
                steps: steps as u32,
                seed: self.plan.run.seed,
                sampler: sampler.into(),
                round: ROUND,
                generator: self.plan.generator.sha256.clone(),
            },
        }
    }
}

/// `[-1, 1]` to bytes.
fn to_bytes(images: &Tensor) -> Result<Vec<u8>> {
    let values = images.affine(127.5, 127.5)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect())
}
