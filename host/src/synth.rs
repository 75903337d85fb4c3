//! The first stage: the generator draws labelled images into the shards of the pool.

use std::collections::BTreeMap;

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
use crate::rounds::{Draw, Draws};
use crate::run_dir::RunDir;
use crate::{Context as _, Error, Result};

/// Samples of each class on the contact sheet, and how much its images are enlarged.
const SHEET_COLUMNS: usize = 20;
const SHEET_SCALE: u32 = 2;

/// Draws every shard of a round that is not there yet, then its contact sheet. Without a planner sample `i` is of class
/// `i mod classes`, and its noise is stream `i` of the run's seed.
pub fn run(plan: &Plan, run: &RunDir, progress: &Progress, device: &Device, round: u32) -> Result<()> {
    let (synth, ids) = (&plan.synth, plan.round_ids(round));
    let images = (ids.end - ids.start) as usize;
    let shards = images.div_ceil(synth.shard);
    let count = |shard: usize| synth.shard.min(images - shard * synth.shard);
    let mut missing = Vec::new();
    for shard in 0..shards {
        if !pool::shard_done(run, round, shard as u32, count(shard))? {
            missing.push(shard);
        }
    }
    if missing.is_empty() {
        progress.note("synth: done before");
    } else {
        let draws = Draws::of(plan, run, round)?;
        let artist = Artist::new(plan, progress, device, round)?;
        let done: usize = images - missing.iter().map(|&shard| count(shard)).sum::<usize>();
        artist.bar.found(done as u64);
        for shard in missing {
            let first = shard * synth.shard;
            let numbered = (first..first + count(shard)).map(|place| {
                let id = ids.start + place as u64;
                Numbered { id, draw: draws.get(place, id) }
            });
            pool::write_shard(run, round, shard as u32, &artist.draw(&numbered.collect::<Vec<_>>())?)?;
        }
        artist.bar.finish();
    }
    contact_sheet(plan, run, round)
}

/// Refuses a generator that can't draw what the plan asks for.
pub fn check(plan: &Plan, generator: &Generator) -> Result<()> {
    let shown = plan.generator.shown().display();
    let (classes, [channels, ..]) = (generator.classes, generator.shape);
    let complaint = if classes != plan.data.classes {
        format!("draws {classes} classes, `data.classes` is {}: name a generator of these classes", plan.data.classes)
    } else if channels != 1 && channels != 3 {
        format!("draws {channels} channels: only grey (1) and RGB (3) images can be drawn")
    } else if plan.synth.steps > generator.steps {
        format!("was trained with {} steps, `synth.steps` is {}: take at most these", generator.steps, plan.synth.steps)
    } else if let Some(guided) = plan.synth.guided_channels.filter(|&guided| guided > channels) {
        return Err(Error::input(format!(
            "`synth.guided-channels` is {guided}, must be at least 1 and at most {channels}: generator `{shown}` draws no more"
        )));
    } else {
        return Ok(());
    };
    Err(Error::input(format!("generator `{shown}` {complaint}")))
}

/// The picture of the pool, rows by class.
fn contact_sheet(plan: &Plan, run: &RunDir, round: u32) -> Result<()> {
    let path = format!("{}/contact-sheet.png", pool::round_dir(round));
    if run.join(&path).exists() {
        return Ok(());
    }
    let pool = Pool::read(run, round)?;
    let of_class = |class| pool.samples.iter().filter(move |sample| sample.class == class).take(SHEET_COLUMNS);
    let shown: Vec<&Sample> = (0..plan.data.classes as u32).flat_map(of_class).collect();
    run.write_atomic(&path, &pool::contact_sheet(&shown, SHEET_COLUMNS, SHEET_SCALE)?)
}

/// A draw with the id of its image.
#[derive(Clone, Copy)]
struct Numbered {
    id: u64,
    draw: Draw,
}

/// What draws: the generator and the progress bar.
struct Artist<'a> {
    plan: &'a Plan,
    generator: Generator,
    guided_channels: usize,
    bar: Bar,
    device: &'a Device,
    round: u32,
}

impl<'a> Artist<'a> {
    fn new(plan: &'a Plan, progress: &Progress, device: &'a Device, round: u32) -> Result<Self> {
        let generator = Generator::open(&plan.generator, device, progress)?;
        check(plan, &generator)?;
        let guided_channels = plan.synth.guided_channels.unwrap_or(generator.shape[0]);
        let ids = plan.round_ids(round);
        let bar = progress.stage("synth", ids.end - ids.start, "images");
        Ok(Self { plan, generator, guided_channels, bar, device, round })
    }

    /// The samples of these draws, in batches of as many steps; on the CPU, one batch a thread.
    fn draw(&self, draws: &[Numbered]) -> Result<Vec<Sample>> {
        let mut by_steps = BTreeMap::<u32, Vec<Numbered>>::new();
        draws.iter().for_each(|one| by_steps.entry(one.draw.steps).or_default().push(*one));
        let batches: Vec<&[Numbered]> =
            by_steps.values().flat_map(|draws| draws.chunks(self.plan.synth.batch)).collect();
        let draw = |batch: &&[Numbered]| {
            let samples = self.draw_batch(batch)?;
            self.bar.advance(batch.len() as u64);
            Ok(samples)
        };
        let drawn: Vec<Result<Vec<Sample>>> =
            if self.device.is_cpu() { parallel::map(&batches, draw) } else { batches.iter().map(draw).collect() };
        Ok(drawn.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    /// The samples of draws of equally many steps.
    fn draw_batch(&self, batch: &[Numbered]) -> Result<Vec<Sample>> {
        let SynthPlan { sampler, eta, .. } = self.plan.synth;
        let schedule = self.schedule(batch)?;
        let classes = batch.iter().map(|one| one.draw.class).collect();
        let scales = batch.iter().map(|one| f64::from(one.draw.guidance)).collect();
        let denoiser = Guided::with_scales(self.generator.net.as_ref(), classes, scales, self.guided_channels);
        let shape = self.generator.shape;
        let streams: Vec<u64> = batch.iter().map(|one| one.draw.seed).collect();
        let mut noise = Noise::new(self.plan.run.seed, &streams, shape, self.device);
        let done = std::cell::Cell::new(0);
        let on_step = || {
            done.set(done.get() + 1);
            self.bar.message(format_args!("step {}/{}", done.get(), schedule.steps.len()));
        };
        let sampling = Sampler { schedule: &schedule, clip: true, on_step: &on_step };
        let images = match sampler {
            Method::Ddpm => sampling.ddpm(&denoiser, &mut || noise.draw()),
            Method::Ddim => sampling.ddim(&denoiser, &mut || noise.draw(), f64::from(eta)),
        };
        let images = images.context(format_args!("generator `{}`", self.plan.generator.shown().display()))?;
        let pixels = to_bytes(&images)?;
        let each = shape.iter().product();
        Ok(batch.iter().zip(pixels.chunks_exact(each)).map(|(one, pixels)| self.sample(one, pixels)).collect())
    }

    fn schedule(&self, batch: &[Numbered]) -> Result<Schedule> {
        let Generator { steps: trained, schedule, .. } = self.generator;
        let steps = batch.first().map_or(self.plan.synth.steps, |one| one.draw.steps as usize);
        if steps > trained {
            return Err(Error::failed(format!(
                "the planner wants {steps} steps for image {}, generator `{}` was trained with {trained}: it must take at most these",
                batch[0].id,
                self.plan.generator.shown().display()
            )));
        }
        Ok(Schedule::respaced(schedule, trained, steps))
    }

    fn sample(&self, one: &Numbered, pixels: &[u8]) -> Sample {
        let [channels, height, width] = self.generator.shape;
        let sampler = match self.plan.synth.sampler {
            Method::Ddpm => "ddpm",
            Method::Ddim => "ddim",
        };
        let Numbered { id, draw: Draw { class, guidance, steps, seed } } = *one;
        Sample {
            id,
            class,
            image: Image { channels, height, width, pixels: pixels.to_vec() },
            provenance: Provenance {
                class,
                guidance,
                steps,
                seed: self.plan.run.seed,
                stream: self.plan.rounds.as_ref().map(|_| seed),
                sampler: sampler.into(),
                round: self.round,
                generator: self.plan.generator.sha256.clone(),
                plugin: self.generator.plugin.clone(),
            },
        }
    }
}

/// `[-1, 1]` to bytes.
fn to_bytes(images: &Tensor) -> Result<Vec<u8>> {
    let values = images.affine(127.5, 127.5)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect())
}
