//! The training of one student: one step at a time, saved and taken up again at any of them.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use limbeck_images::Feed;
use limbeck_models::checkpoint::{self, Checkpoint};

use super::MakeWeigher;
use super::arms::Arm;
use super::grader::Grader;
use super::history::History;
use super::objective::Objective;
use super::variations::{self, Batch};
use super::weights::MeanWeights;
use crate::accuracy::evaluate;
use crate::data::Dataset;
use crate::plan::Plan;
use crate::policy::{StepColumns, Weigher};
use crate::progress::{Mode, Progress};
use crate::rounds::student_file;
use crate::run_dir::RunDir;
use crate::training::learner::Start;
use crate::training::log::LOG_EVERY;
use crate::training::{Augment, Batches, Learner, Log, Normal, Resume, Running, Spec};
use crate::{Error, Result};

/// The tensor of a resume point in which a weigher keeps what it learnt.
const WEIGHER: &str = "weigher";

/// The files of one student in the run directory.
pub struct Files<'a> {
    run: &'a RunDir,
    arm: &'a str,
    seed: u64,
}

impl<'a> Files<'a> {
    pub fn new(run: &'a RunDir, arm: &'a str, seed: u64) -> Self {
        Self { run, arm, seed }
    }

    fn student(&self) -> String {
        student_file(self.arm, self.seed)
    }

    fn state(&self) -> String {
        format!("checkpoints/{}/seed-{}/state.safetensors", self.arm, self.seed)
    }

    fn history(&self) -> String {
        format!("history/{}-seed-{}.safetensors", self.arm, self.seed)
    }

    fn weights(&self) -> String {
        format!("weights/{}-seed-{}.json", self.arm, self.seed)
    }

    /// Whether the student is there. It is written last.
    pub fn finished(&self) -> bool {
        self.run.join(&self.student()).exists()
    }

    /// Removes the resume point of a finished student.
    pub fn forget_state(&self) -> Result<()> {
        self.run.remove(&self.state())
    }
}

/// One student and all that its next step depends on.
pub struct Trainer<'a> {
    plan: &'a Plan,
    files: &'a Files<'a>,
    arm: &'a Arm,
    grader: &'a Grader<'a>,
    log: Log<'a>,
    learner: Learner,
    objective: Objective,
    /// Whether the teacher need be asked once only for each image.
    unvaried: bool,
    /// The batches of the steps to come.
    feed: Feed<Result<Batch>>,
    batches: Batches,
    weigher: Option<Box<dyn Weigher>>,
    weights: MeanWeights,
    history: History,
    running: Running,
    /// Of all random numbers of this student.
    seed: u64,
    /// Steps done.
    step: u64,
}

impl<'a> Trainer<'a> {
    /// Begins, afresh or with the weights of the student `before`, or goes on from the resume point.
    #[allow(clippy::too_many_arguments, reason = "the inputs of a training, each used once")]
    pub fn start(
        plan: &'a Plan,
        files: &'a Files<'a>,
        arm: &'a Arc<Arm>,
        seed: u64,
        grader: &'a Grader<'a>,
        device: &Device,
        make_weigher: &MakeWeigher<'_>,
        before: Option<PathBuf>,
    ) -> Result<Self> {
        let log = Log::new(files.run, Some(&arm.name), seed);
        let seed = student_seed(plan.run.seed, seed);
        let batches = Batches::new(seed, arm.data.len(), plan.distill.batch);
        let spec = Spec {
            network: plan.distill.student.clone(),
            classes: plan.data.classes,
            channels: arm.data.channels,
            size: arm.data.height,
            normal: Normal::of(&arm.data)?,
            start: match before {
                Some(path) => Some(Start { path, sha256: None }),
                None => Start::planned(plan.distill.start.as_ref(), &plan.inputs, super::START),
            },
        };
        let saved = Resume::read(files.run.join(&files.state()))?;
        let teacher = grader.teacher();
        let settings = plan.distill.optimizer.settings(plan.distill.ema);
        let (learner, objective) =
            Learner::start_with(spec, seed, settings, saved.as_ref(), device, |width, params| {
                Objective::new(&plan.distill, width, teacher, params)
            })?;
        let step = saved.as_ref().map_or(Ok(0), |saved| saved.number("step"))?;
        let total = u64::from(plan.distill.epochs) * batches.steps_per_epoch();
        let mut trainer = Self {
            plan,
            files,
            arm,
            grader,
            log,
            learner,
            objective,
            unvaried: Augment::new(&plan.distill.augment).is_identity(),
            feed: variations::feed(plan, arm, seed, step, total)?,
            weigher: make_weigher(total)?,
            batches,
            weights: MeanWeights::new(arm.data.len()),
            history: History::new(&arm.data.labels, plan.data.classes),
            running: Running::default(),
            seed,
            step,
        };
        if let Some(saved) = &saved {
            trainer.running = Running::restore("loss", saved)?;
            trainer.resume(&saved.file).map_err(|why| saved.unusable(why))?;
        }
        trainer.log.rewind(trainer.step)?;
        Ok(trainer)
    }

    fn resume(&mut self, file: &Checkpoint) -> Result<()> {
        self.history.restore(file)?;
        if let Some(weigher) = &mut self.weigher {
            self.weights = MeanWeights::restore(file)?;
            let state = file.tensors.get(WEIGHER).ok_or_else(|| Error::input("it was made without a weigher"))?;
            weigher.restore(&state.to_vec1::<u8>()?)?;
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        u64::from(self.plan.distill.epochs) * self.batches.steps_per_epoch()
    }

    pub fn done(&self) -> bool {
        self.step >= self.total()
    }

    pub fn total_images(&self) -> u64 {
        self.total() * self.batches.size() as u64
    }

    pub fn images_done(&self) -> u64 {
        self.step * self.batches.size() as u64
    }

    fn lr(&self, step: u64) -> f64 {
        self.plan.distill.optimizer.lr_at(step, self.total(), self.batches.steps_per_epoch())
    }

    /// One step; returns how many images it saw. All that is random follows from the seed and the step alone.
    pub fn advance(&mut self) -> Result<u64> {
        let made = self.feed.take().ok_or_else(|| Error::failed("the thread that varies images broke off"))?;
        let Batch { rows, varied: batch } = made?;
        let teacher = if self.unvaried { self.grader.look_up(self.arm, &rows)? } else { self.grader.grade(&batch)? };
        let student = self.learner.train(&batch.images, self.seed, self.step)?;
        let student_logits = student.logits.detach().to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
        // A mixed image tells of the one that it mostly is.
        let main = batch.main(&rows);
        let weights = self.weigh(&main, &batch.main_classes(), &teacher.logits, &student_logits)?;
        self.history.add(&main, &teacher.logits, &student_logits);
        let weights = weights.map(|weights| Tensor::new(weights, student.logits.device())).transpose()?;
        let loss = self.objective.loss(&student, &teacher, &batch, weights.as_ref())?;
        let lr = self.lr(self.step);
        let step = self.step;
        let loss = self.learner.learn(&loss, lr).map_err(|error| error.context(format_args!("step {step}")))?;
        self.running.add(loss);
        self.step += 1;
        Ok(rows.len() as u64)
    }

    /// How much each image of the batch counts, which is mostly the one at `rows`; `None` without a weigher.
    fn weigh(
        &mut self,
        rows: &[usize],
        classes: &[u32],
        teacher_logits: &[f32],
        student_logits: &[f32],
    ) -> Result<Option<Vec<f32>>> {
        let Some(weigher) = &mut self.weigher else { return Ok(None) };
        let given = if weigher.needs_history() { self.history.columns(rows) } else { Vec::new() };
        let ids: Vec<u64> = rows.iter().map(|&row| self.arm.ids[row]).collect();
        let weights = weigher.weigh(StepColumns {
            round: self.arm.round,
            epoch: (self.step / self.batches.steps_per_epoch()) as u32,
            step: self.step,
            classes,
            ids: &ids,
            teacher_logits,
            student_logits,
            classes_total: self.plan.data.classes,
            given: &given,
        })?;
        self.weights.add(rows, &weights);
        Ok(Some(weights))
    }

    /// Writes a line where one is due, tells the weigher when an epoch is over, and returns what to show.
    pub fn log(&mut self, curve: &Dataset) -> Result<Option<impl Display + use<>>> {
        let steps = self.batches.steps_per_epoch();
        let epoch_over = self.step.is_multiple_of(steps);
        if !epoch_over && !self.step.is_multiple_of(LOG_EVERY) {
            return Ok(None);
        }
        let accuracy = if epoch_over { Some(self.accuracy(curve)?) } else { None };
        let (epoch, loss) = (self.step as f64 / steps as f64, self.running.take());
        self.log.write(self.step, epoch, loss, self.lr(self.step - 1), accuracy)?;
        if let Some(weigher) = self.weigher.as_mut().filter(|_| epoch_over) {
            // The accuracy is of real test images: a policy that learnt from it would make a test of them no more.
            let stats = serde_json::json!({ "loss": loss }).to_string();
            weigher.epoch_end((self.step / steps - 1) as u32, &stats)?;
        }
        let shown = accuracy.map_or(String::new(), |share| format!(", test {:.1} %", 100.0 * share));
        Ok(Some(format!("epoch {epoch:.1}/{}, loss {loss:.4}{shown}", self.plan.distill.epochs)))
    }

    fn accuracy(&self, curve: &Dataset) -> Result<f64> {
        let silent = Progress::new(Mode::Quiet).stage("curve", curve.len() as u64, "images");
        Ok(evaluate(&self.learner.judged()?, curve, 250, &silent)?.top1)
    }

    /// Writes the resume point where one is due.
    pub fn checkpoint(&mut self) -> Result<()> {
        if !self.step.is_multiple_of(self.plan.distill.checkpoint_every) || self.done() {
            return Ok(());
        }
        self.grader.keep()?;
        self.log.sync()?;
        let mut tensors = self.learner.save()?;
        self.history.save(&mut tensors)?;
        if let Some(weigher) = &mut self.weigher {
            self.weights.save(&mut tensors)?;
            tensors.insert(WEIGHER.into(), Tensor::new(weigher.save()?, &Device::Cpu)?);
        }
        let mut metadata = [("step".to_owned(), self.step.to_string())].into();
        self.running.save("loss", &mut metadata);
        self.files.run.write_atomic(&self.files.state(), &checkpoint::to_bytes(&tensors, &metadata)?)
    }

    /// Writes the history and the mean weights, then the student, and drops the resume point.
    pub fn finish(self) -> Result<()> {
        self.grader.keep()?;
        self.log.sync()?;
        self.files.run.write_atomic(&self.files.history(), &self.history.to_bytes(&self.arm.ids)?)?;
        if let Some(weigher) = &self.weigher {
            let json = self.weights.to_json(&self.arm.ids, weigher.usage(), &weigher.links())?;
            self.files.run.write_atomic(&self.files.weights(), &json)?;
        }
        self.files.run.write_atomic(&self.files.student(), &self.learner.export()?)?;
        self.files.forget_state()
    }
}

/// The seed of all random numbers of a student: of seed `k` of a run of seed 0 it is `k`.
fn student_seed(run: u64, student: u64) -> u64 {
    run.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(student)
}
