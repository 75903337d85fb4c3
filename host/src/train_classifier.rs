//! `limbeck train classifier`: a classifier from labelled images, resumable at any instant.

use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor};
use limbeck_images::Feed;
use limbeck_models::checkpoint;
use limbeck_models::classifier::Shape;
use limbeck_models::loss::cross_entropy;
use rand::seq::SliceRandom;

use crate::accuracy::evaluate;
use crate::data::{Dataset, Split, Stream, load, no_squares};
use crate::plan::ClassifierPlan;
use crate::progress::{Bar, Mode, Progress, counted};
use crate::run_dir::RunDir;
use crate::seed::{Purpose, rng};
use crate::training::learner::Start;
use crate::training::log::LOG_EVERY;
use crate::training::{
    Augment, Augmented, Batches, Images, Learner, Log, Resume, Running, Spec, spare_workers, try_out,
};
use crate::words::image_shape;
use crate::{Error, Result};

/// The resume point, and the finished weights, in the run directory.
const STATE: &str = "state.safetensors";
const WEIGHTS: &str = "classifier.safetensors";

/// Images classified at a time.
const TEST_BATCH: usize = 250;

/// What a training works on.
pub struct Material {
    data: Arc<dyn Images>,
    test: Option<Dataset>,
}

/// Reads the images, or looks at those that stay on the disk, and builds the network once: what is wrong with either is known
/// before anything is written.
pub fn prepare(plan: &ClassifierPlan, device: &Device, progress: &Progress) -> Result<Material> {
    let stream = Stream::open(&plan.data, Split::Train, progress)?;
    let stream = stream.map(|all| Ok::<_, Error>(some(plan, &all, all.len(), Stream::subset)?.unwrap_or(all)));
    let stream = stream.transpose()?.map(Arc::new);
    let data: Arc<dyn Images> = match &stream {
        Some(stream) => stream.clone(),
        None => Arc::new(training_images(plan, progress)?),
    };
    let test = plan.data.test.as_ref().map(|_| load(&plan.data, Split::Test, progress)).transpose()?;
    let (channels, height, _) = data.shape();
    if let Some(test) = test.as_ref().filter(|test| (test.channels, test.height, test.width) != data.shape()) {
        let [test, train] = [(test.channels, test.height, test.width), data.shape()].map(image_shape);
        return Err(Error::input(format!(
            "the images of `data.test` are {test}, those of `data.train` {train}: name images of one size"
        )));
    }
    let shape = Shape { classes: data.classes(), channels, size: height };
    try_out(&plan.network, shape, start(plan), ["train.network", "train.start"], device)?;
    if let Some(stream) = stream {
        // A damaged one would otherwise be met only after hours.
        let bar = progress.stage("check", stream.len() as u64, "images");
        bar.message("whether each is whole");
        stream.check(&bar)?;
    }
    Ok(Material { data, test })
}

/// Trains as `plan` says, in `run`, going on from its resume point where there is one.
///
/// Writes `classifier.safetensors` and a line of `metrics.jsonl` now and then, at each epoch's end with the accuracy on
/// the test images where the plan has some. A finished training is left as it is. Killed at any moment and called again,
/// it ends with the same bytes.
pub fn train(
    plan: &ClassifierPlan,
    material: Material,
    run: &RunDir,
    progress: &Progress,
    device: &Device,
) -> Result<()> {
    if run.join(WEIGHTS).exists() {
        progress.note(format_args!("`{}` is there already", run.join(WEIGHTS).display()));
        return run.remove(STATE);
    }
    let Material { data, test } = material;
    let mut training = Training::start(plan, data, run, device)?;
    let (total, batch) = (training.total(), training.batches.size() as u64);
    let bar = progress.stage(&plan.name, total * batch, "images");
    bar.found(training.step * batch);
    while training.step < total {
        training.advance()?;
        bar.advance(batch);
        training.log(test.as_ref(), &bar)?;
        if training.step.is_multiple_of(plan.checkpoint_every) {
            training.log.sync()?;
            run.write_atomic(STATE, &training.state()?)?;
        }
    }
    bar.finish();
    training.log.sync()?;
    run.write_atomic(WEIGHTS, &training.learner.export()?)?;
    progress.note(format_args!("wrote `{}`", run.join(WEIGHTS).display()));
    run.remove(STATE)
}

/// All training images, or as many of them as the plan asks for, drawn by its seed.
fn training_images(plan: &ClassifierPlan, progress: &Progress) -> Result<Dataset> {
    let all = load(&plan.data, Split::Train, progress)?;
    if all.height != all.width {
        return Err(no_squares(&plan.data, &all, "the networks take squares"));
    }
    Ok(some(plan, &all, all.len(), Dataset::subset)?.unwrap_or(all))
}

/// The weights to begin with.
fn start(plan: &ClassifierPlan) -> Option<Start> {
    Start::planned(plan.start.as_ref(), &plan.inputs, "train.start")
}

/// As many of `all` images as the plan asks for, drawn by its seed; `None` where it wants them all.
fn some<T>(plan: &ClassifierPlan, all: &T, len: usize, subset: impl Fn(&T, &[usize]) -> T) -> Result<Option<T>> {
    let Some(count) = plan.images else { return Ok(None) };
    if count > len {
        let images = counted(len, "training image");
        return Err(Error::input(format!("`train.images` is {count}, but `data.train` has {images}")));
    }
    let mut rows: Vec<usize> = (0..len).collect();
    rows.shuffle(&mut rng(plan.seed, Purpose::Subset, 0));
    rows.truncate(count);
    Ok(Some(subset(all, &rows)))
}

struct Training<'a> {
    plan: &'a ClassifierPlan,
    classes: usize,
    log: Log<'a>,
    learner: Learner,
    /// The batches of the steps to come.
    feed: Feed<Result<Augmented>>,
    batches: Batches,
    running: Running,
    /// Steps done.
    step: u64,
}

impl<'a> Training<'a> {
    fn start(plan: &'a ClassifierPlan, data: Arc<dyn Images>, run: &'a RunDir, device: &Device) -> Result<Self> {
        let saved = Resume::read(run.join(STATE))?;
        let (step, running) = match &saved {
            Some(saved) => (saved.number("step")?, Running::restore("loss", saved)?),
            None => (0, Running::default()),
        };
        let spec = Spec {
            network: plan.network.clone(),
            classes: data.classes(),
            channels: data.shape().0,
            size: data.shape().1,
            normal: data.normal()?,
            start: start(plan),
        };
        let log = Log::new(run, None, plan.seed);
        log.rewind(step)?;
        let batches = Batches::new(plan.seed, data.count(), plan.batch);
        let total = u64::from(plan.epochs) * batches.steps_per_epoch();
        Ok(Self {
            plan,
            classes: data.classes(),
            log,
            learner: Learner::start(spec, plan.seed, plan.optimizer.settings(plan.ema), saved.as_ref(), device)?,
            feed: feed(plan, data, step, total)?,
            batches,
            running,
            step,
        })
    }

    fn total(&self) -> u64 {
        u64::from(self.plan.epochs) * self.batches.steps_per_epoch()
    }

    fn lr(&self, step: u64) -> f64 {
        self.plan.optimizer.lr_at(step, self.total(), self.batches.steps_per_epoch())
    }

    /// One step. All that is random follows from the seed and the step alone.
    fn advance(&mut self) -> Result<()> {
        let batch = self.feed.take().ok_or_else(|| Error::failed("the thread that makes batches broke off"))??;
        let logits = self.learner.train(&batch.images, self.plan.seed, self.step)?.logits;
        let targets = Tensor::from_vec(batch.targets(self.classes), logits.shape(), logits.device())?;
        let loss = cross_entropy(&logits, &targets, None)?;
        let lr = self.lr(self.step);
        let step = self.step;
        let loss = self.learner.learn(&loss, lr).map_err(|error| error.context(format_args!("step {step}")))?;
        self.running.add(loss);
        self.step += 1;
        Ok(())
    }

    /// Writes a line where one is due.
    fn log(&mut self, test: Option<&Dataset>, bar: &Bar) -> Result<()> {
        let steps = self.batches.steps_per_epoch();
        let epoch_over = self.step.is_multiple_of(steps);
        if !epoch_over && !self.step.is_multiple_of(LOG_EVERY) {
            return Ok(());
        }
        let accuracy = match test {
            Some(test) if epoch_over => Some(accuracy(&self.learner, test)?),
            _ => None,
        };
        let (epoch, loss) = (self.step as f64 / steps as f64, self.running.take());
        self.log.write(self.step, epoch, loss, self.lr(self.step - 1), accuracy)?;
        let shown = accuracy.map_or(String::new(), |share| format!(", test {:.2} %", 100.0 * share));
        bar.message(format_args!("epoch {epoch:.1}/{}, loss {loss:.4}{shown}", self.plan.epochs));
        Ok(())
    }

    /// The resume point, as the bytes of one file.
    fn state(&self) -> Result<Vec<u8>> {
        let mut metadata = [("step".to_owned(), self.step.to_string())].into();
        self.running.save("loss", &mut metadata);
        Ok(checkpoint::to_bytes(&self.learner.save()?, &metadata)?)
    }
}

/// The batches of the steps from `first` to `total`. All that is random follows from the seed and the step alone.
fn feed(plan: &ClassifierPlan, data: Arc<dyn Images>, first: u64, total: u64) -> Result<Feed<Result<Augmented>>> {
    let (seed, augment) = (plan.seed, Augment::new(&plan.augment).alone());
    let batches = Mutex::new(Batches::new(seed, data.count(), plan.batch));
    let make = move |step| {
        let rows = batches.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).rows(step).to_vec();
        augment.batch(&*data, &rows, &mut rng(seed, Purpose::Augment, step))
    };
    let workers = plan.workers.unwrap_or_else(spare_workers);
    Ok(Feed::start(first, total, workers, make)?)
}

/// The share of test images whose class has the highest logit.
fn accuracy(learner: &Learner, test: &Dataset) -> Result<f64> {
    let silent = Progress::new(Mode::Quiet).stage("test", test.len() as u64, "images");
    Ok(evaluate(&learner.judged()?, test, TEST_BATCH, &silent)?.top1)
}

#[cfg(test)]
#[path = "train_classifier_tests.rs"]
mod tests;
