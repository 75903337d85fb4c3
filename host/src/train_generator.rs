//! `limbeck train generator`: a class-conditional DiT from labelled images, resumable at any instant.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use limbeck_models::checkpoint::{self, under};
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::optim::{Settings, Updater};
use limbeck_models::{Params, parallel};
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, no_squares};
use crate::diffusion::generator::GeneratorConfig;
use crate::diffusion::schedule::Schedule;
use crate::diffusion::training_loss::{Batch, hybrid_loss};
use crate::plan::{DitPlan, GeneratorTrainPlan};
use crate::progress::Progress;
use crate::run_dir::RunDir;
use crate::seed::{Purpose, rng};
use crate::training::learner::{Start, require_finite};
use crate::training::log::{LOG_EVERY, METRICS, keep_lines};
use crate::training::{Batches, Resume, Running};
use crate::{Context as _, Error, Result};

/// The resume point, and the finished weights, in the run directory.
const STATE: &str = "state.safetensors";
const WEIGHTS: &str = "generator.safetensors";

/// Images a micro-batch.
const MICRO_BATCH: usize = 16;

/// The largest norm of all gradients together, unless the recipe says otherwise. The bound has rare, huge gradients (small
/// timesteps), which would throw Adam off for many steps.
const CLIP_NORM: f64 = 1.0;

/// One line of `metrics.jsonl`: means since the line before.
#[derive(Debug, Serialize, Deserialize)]
struct Metrics {
    step: u64,
    epoch: f64,
    simple: f64,
    bound: f64,
    lr: f64,
}

/// Builds the network for these images once, and once more from the weights that the plan begins with: what is wrong with
/// either is known before anything is written.
pub fn check(plan: &GeneratorTrainPlan, data: &Dataset, device: &Device) -> Result<()> {
    let model = model(plan, data)?;
    Dit::new(&model, &Params::from_seed(plan.seed, device)).context("`train.model`")?;
    if let Some(start) = Start::planned(plan.start.as_ref(), &plan.inputs, "train.start") {
        let shown = start.path.display().to_string();
        let tensors = start.read().context("`train.start`")?.tensors;
        Dit::new(&model, &Params::resume(tensors, device)).context(shown).context("`train.start`")?;
    }
    Ok(())
}

/// Trains as `plan` says, in `run`, going on from its resume point where there is one. Writes `generator.safetensors`,
/// the moving average of the weights in half precision.
pub fn train(
    plan: &GeneratorTrainPlan,
    data: &Dataset,
    run: &RunDir,
    progress: &Progress,
    device: &Device,
) -> Result<()> {
    if run.join(WEIGHTS).exists() {
        progress.note(format_args!("`{}` is there already", run.join(WEIGHTS).display()));
        return run.remove(STATE);
    }
    let mut training = Training::start(plan, data, run, device)?;
    let (total, batch) = (training.batches.steps_per_epoch() * u64::from(plan.epochs), training.batches.size() as u64);
    let bar = progress.stage(&plan.name, total * batch, "images");
    bar.found(training.step * batch);
    while training.step < total {
        training.advance()?;
        bar.advance(batch);
        if training.step.is_multiple_of(LOG_EVERY) || training.step == total {
            let line = training.metrics();
            let text = serde_json::to_string(&line).map_err(|error| Error::failed(error.to_string()))?;
            run.append_line(METRICS, &text)?;
            let Metrics { epoch, simple, bound, .. } = line;
            bar.message(format_args!("epoch {epoch:.1}/{}, loss {simple:.4} + {bound:.4}", plan.epochs));
        }
        if training.step.is_multiple_of(plan.checkpoint_every) {
            run.sync(METRICS)?;
            run.write_atomic(STATE, &training.state()?)?;
        }
    }
    bar.finish();
    run.sync(METRICS)?;
    run.write_atomic(WEIGHTS, &training.weights()?)?;
    progress.note(format_args!("wrote `{}`", run.join(WEIGHTS).display()));
    run.remove(STATE)
}

struct Training<'a> {
    plan: &'a GeneratorTrainPlan,
    data: &'a Dataset,
    device: &'a Device,
    schedule: Schedule,
    params: Params,
    net: Dit,
    updater: Updater,
    batches: Batches,
    /// Both parts of the loss since the last line of the log.
    simple: Running,
    bound: Running,
    /// Steps done.
    step: u64,
}

impl<'a> Training<'a> {
    fn start(plan: &'a GeneratorTrainPlan, data: &'a Dataset, run: &RunDir, device: &'a Device) -> Result<Self> {
        let saved = Resume::read(run.join(STATE))?;
        let blame = |why: Error| match &saved {
            Some(saved) => saved.unusable(why),
            None => why,
        };
        let part = |prefix: &str| saved.as_ref().map(|saved| under(&saved.file.tensors, prefix));
        let params = match (part("param."), Start::planned(plan.start.as_ref(), &plan.inputs, "train.start")) {
            (Some(tensors), _) => Params::resume(tensors, device),
            (None, Some(start)) => Params::resume(start.read()?.tensors, device),
            (None, None) => Params::from_seed(plan.seed, device),
        };
        let model = model(plan, data)?;
        let net = Dit::new(&model, &params).map_err(|why| blame(why.into()))?;
        let settings = Settings {
            clip_norm: Some(plan.optimizer.clip_norm.unwrap_or(CLIP_NORM)),
            ema: Some(plan.ema),
            ..plan.optimizer.settings(0.0)
        };
        let mut updater = Updater::new(settings, params.parameters(), params.buffers())?;
        if let Some(state) = part("optim.") {
            updater.restore(&state).map_err(|why| blame(why.into()))?;
        }
        let (step, simple, bound) = match &saved {
            Some(saved) => {
                (saved.number("step")?, Running::restore("simple", saved)?, Running::restore("bound", saved)?)
            }
            None => (0, Running::default(), Running::default()),
        };
        // The steps after the resume point are about to be done again.
        keep_lines(run, |line: &Metrics| line.step <= step)?;
        let schedule = Schedule::training(plan.diffusion.schedule, plan.diffusion.steps);
        let batches = Batches::new(plan.seed, data.len(), plan.batch);
        Ok(Self { plan, data, device, schedule, params, net, updater, batches, simple, bound, step })
    }

    fn lr(&self, step: u64) -> f64 {
        let steps_per_epoch = self.batches.steps_per_epoch();
        self.plan.optimizer.lr_at(step, u64::from(self.plan.epochs) * steps_per_epoch, steps_per_epoch)
    }

    /// One step. All that is random follows from the seed and the step alone.
    fn advance(&mut self) -> Result<()> {
        let rows = self.batches.rows(self.step).to_vec();
        let (images, labels) = self.data.batch(&rows)?;
        let images = ((images.to_device(self.device)? * 2.0)? - 1.0)?;
        let mut random = rng(self.plan.seed, Purpose::Noise, self.step);
        let none = self.data.classes as u32;
        let labels: Vec<u32> = labels
            .iter()
            .map(|&label| if random.random::<f32>() < self.plan.label_dropout { none } else { label })
            .collect();
        let steps: Vec<usize> = rows.iter().map(|_| random.random_range(0..self.schedule.steps.len())).collect();
        let noise: Vec<f32> = (0..images.elem_count()).map(|_| random.sample(StandardNormal)).collect();
        let noise = Tensor::from_vec(noise, images.shape(), self.device)?;
        let classes = Tensor::new(labels, self.device)?;
        let (gradients, simple, bound) = self.gradients(&images, &noise, &steps, &classes)?;
        let lr = self.lr(self.step);
        self.updater.step(gradients, lr)?;
        self.step += 1;
        if !simple.is_finite() || !bound.is_finite() {
            return Err(Error::diverged(format!("step {}: the loss is {simple} + {bound}", self.step)));
        }
        self.simple.add(simple);
        self.bound.add(bound);
        Ok(())
    }

    /// The line of the log that is due, with the means since the one before.
    fn metrics(&mut self) -> Metrics {
        let (simple, bound) = (self.simple.take(), self.bound.take());
        let epoch = self.step as f64 / self.batches.steps_per_epoch() as f64;
        Metrics { step: self.step, epoch, simple, bound, lr: self.lr(self.step - 1) }
    }

    /// The gradients of a batch and both parts of its loss, in micro-batches of a fixed size: on the CPU they are shared out
    /// between threads, and summed in their order, so that the number of threads changes nothing.
    fn gradients(
        &self,
        images: &Tensor,
        noise: &Tensor,
        steps: &[usize],
        classes: &Tensor,
    ) -> Result<(GradStore, f64, f64)> {
        let starts: Vec<usize> = (0..steps.len()).step_by(MICRO_BATCH).collect();
        let images_in_all = steps.len() as f64;
        let part = |&start: &usize| {
            let rows = MICRO_BATCH.min(steps.len() - start);
            let part = |tensor: &Tensor| tensor.narrow(0, start, rows);
            let (images, noise, classes) = (part(images)?, part(noise)?, part(classes)?);
            let steps = &steps[start..start + rows];
            let batch = Batch { images: &images, noise: &noise, steps, classes: &classes };
            let loss = hybrid_loss(&self.net, &self.schedule, &batch)?;
            let gradients = (&loss.simple + &loss.bound)?.backward()?;
            let share = rows as f64 / images_in_all;
            let (simple, bound) = (loss.simple.to_scalar::<f32>()?, loss.bound.to_scalar::<f32>()?);
            Ok((share, gradients, f64::from(simple), f64::from(bound)))
        };
        let parts: Vec<Result<_>> =
            if self.device.is_cpu() { parallel::map(&starts, part) } else { starts.iter().map(part).collect() };
        let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
        let simple = parts.iter().map(|(share, _, simple, _)| share * simple).sum();
        let bound = parts.iter().map(|(share, _, _, bound)| share * bound).sum();
        Ok((mean_gradients(parts.into_iter().map(|part| (part.0, part.1)), &self.params.parameters())?, simple, bound))
    }

    /// Everything that resuming needs, as the bytes of one file.
    fn state(&self) -> Result<Vec<u8>> {
        let mut tensors = BTreeMap::new();
        let parts = [("param.", self.params.state()), ("optim.", self.updater.state()?)];
        for (prefix, part) in parts {
            tensors.extend(part.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        }
        require_finite(&tensors)?;
        let mut metadata = BTreeMap::from([("step".to_owned(), self.step.to_string())]);
        self.simple.save("simple", &mut metadata);
        self.bound.save("bound", &mut metadata);
        Ok(checkpoint::to_bytes(&tensors, &metadata)?)
    }

    /// The finished generator, as the bytes of its file.
    fn weights(&self) -> Result<Vec<u8>> {
        let averages = self.updater.averages().unwrap_or_else(|| self.params.state());
        let half = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_dtype(DType::F16)?));
        let tensors: BTreeMap<_, _> = averages.into_iter().map(half).collect::<Result<_>>()?;
        require_finite(&tensors)?;
        let config = GeneratorConfig {
            model: self.net.config().clone(),
            steps: self.plan.diffusion.steps,
            schedule: self.plan.diffusion.schedule,
        };
        let config = serde_json::to_string(&config).map_err(|error| Error::failed(error.to_string()))?;
        let metadata = BTreeMap::from([("network".to_owned(), "dit".to_owned()), ("config".to_owned(), config)]);
        Ok(checkpoint::to_bytes(&tensors, &metadata)?)
    }
}

/// The weighted sum of gradients, in the order given.
fn mean_gradients(
    mut parts: impl Iterator<Item = (f64, GradStore)>,
    parameters: &BTreeMap<String, Var>,
) -> Result<GradStore> {
    let (share, mut sum) = parts.next().ok_or_else(|| Error::failed("a batch has no images"))?;
    let mut add = |share: f64, part: Option<&GradStore>| -> Result<()> {
        for var in parameters.values() {
            let Some(known) = sum.remove(var.as_tensor()) else { continue };
            let total = match part.and_then(|part| part.get(var.as_tensor())) {
                Some(gradient) => (known + (gradient * share)?)?,
                None => (known * share)?,
            };
            sum.insert(var.as_tensor(), total);
        }
        Ok(())
    };
    add(share, None)?;
    for (share, part) in parts {
        add(share, Some(&part))?;
    }
    Ok(sum)
}

/// The whole shape of the network: what the plan says of it, and what the images say.
fn model(plan: &GeneratorTrainPlan, data: &Dataset) -> Result<DitConfig> {
    if data.height != data.width {
        return Err(no_squares(&plan.data, data, "a DiT draws squares"));
    }
    let DitPlan { patch, width, depth, heads } = plan.model;
    let (size, channels, classes) = (data.height, data.channels, data.classes);
    Ok(DitConfig { size, channels, patch, width, depth, heads, classes })
}
