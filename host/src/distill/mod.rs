//! The stage that teaches: students learn the teacher's grades of the kept images, and of real ones to compare with.
//!
//! Reads the pool, the subset and, for the baseline, the training images; writes checkpoints, the log and the mean weights.

mod arms;
mod cache;
mod grader;
mod history;
mod objective;
mod trainer;
mod variations;
mod weights;

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use limbeck_models::classifier::Shape;

use self::arms::Arm;
pub use self::arms::check_baseline;
use self::cache::Cache;
pub use self::cache::{CacheUse, USE_FILE as CACHE_USE_FILE};
use self::grader::Grader;
use self::trainer::Trainer;
use crate::backend::{Classifier, ClassifierInfo};
use crate::data::{Dataset, Split, load};
use crate::plan::{Plan, RoundStudent};
use crate::policy::Weigher;
use crate::progress::Progress;
use crate::rounds::{self, student_file};
use crate::run_dir::RunDir;
use crate::training::learner::Start;
use crate::training::try_out;
use crate::{Context as _, Error, Result};

/// The key of the weights that students begin with.
const START: &str = "distill.start";

/// Test images on which a student is judged at each epoch's end; the whole test set is for the evaluation.
const CURVE_IMAGES: usize = 1000;

/// Makes the weigher of one training of so many steps; `None` where all images count the same.
pub type MakeWeigher<'a> = dyn Fn(u64) -> Result<Option<Box<dyn Weigher>>> + 'a;

/// Trains every student of the plan that is not finished yet: for each arm and seed
/// `checkpoints/<arm>/seed-<k>/student.safetensors`, lines in `metrics.jsonl` and, with a weigher,
/// `weights/<arm>-seed-<k>.json`; and `history/<arm>-seed-<k>.safetensors` with what was seen of each image.
///
/// Before the last round these are the students of the round, `<arm>` is then `rounds/<round>`.
///
/// Killed at any moment and called again, it goes on from the last resume point and ends with the same students.
pub fn run(
    plan: &Plan,
    run: &RunDir,
    progress: &Progress,
    device: &Device,
    teacher: &dyn Classifier,
    make_weigher: &MakeWeigher<'_>,
    round: u32,
) -> Result<()> {
    let plan = &plan.training_in(round);
    let curve = curve_images(load(&plan.data, Split::Test, progress)?);
    let features = objective::wants_features(&plan.distill.loss);
    let cache = Cache::open(plan, run, progress, teacher.info().features.filter(|_| features))?;
    for arm in arms::read(plan, run, progress, round)?.into_iter().map(Arc::new) {
        check(plan, teacher.info(), &arm.data).context(format_args!("the {} images", arm.name))?;
        let grader = Grader::new(teacher, device, features, cache.as_ref());
        for &seed in &plan.distill.seeds {
            let before = before(plan, run, &arm, seed, round);
            train_one(plan, run, progress, device, &arm, seed, &grader, &curve, make_weigher, before)
                .context(format_args!("student {} seed {seed}", arm.name))?;
        }
    }
    Ok(())
}

/// Fails where the teacher grades other images or classes than those of `data`: to be asked before long work.
pub fn check(plan: &Plan, teacher: &ClassifierInfo, data: &Dataset) -> Result<()> {
    teacher.check_images((data.channels, data.height, data.width))?;
    teacher.check_classes(plan.data.classes)?;
    objective::check(&plan.distill.loss, teacher)?;
    if data.height != data.width {
        return Err(Error::input(format!(
            "they are {} high and {} wide, students take squares",
            data.height, data.width
        )));
    }
    Ok(())
}

/// Builds the student for images of this size: fails where a training would only after all images are drawn and graded.
pub fn check_student(plan: &Plan, data: &Dataset, device: &Device) -> Result<()> {
    let shape = Shape { classes: plan.data.classes, channels: data.channels, size: data.height };
    let start = Start::planned(plan.distill.start.as_ref(), &plan.inputs, START);
    try_out(&plan.distill.student, shape, start, ["distill.student", START], device)
}

#[allow(clippy::too_many_arguments, reason = "the inputs of a training, each used once")]
fn train_one(
    plan: &Plan,
    run: &RunDir,
    progress: &Progress,
    device: &Device,
    arm: &Arc<Arm>,
    seed: u64,
    grader: &Grader<'_>,
    curve: &Dataset,
    make_weigher: &MakeWeigher<'_>,
    before: Option<PathBuf>,
) -> Result<()> {
    let files = trainer::Files::new(run, &arm.name, seed);
    if files.finished() {
        progress.note(format_args!("distill {} seed {seed}: done before", arm.name));
        return files.forget_state();
    }
    let mut trainer = Trainer::start(plan, &files, arm, seed, grader, device, make_weigher, before)?;
    let bar = progress.stage(&format!("distill {} seed {seed}", arm.name), trainer.total_images(), "images");
    bar.found(trainer.images_done());
    while !trainer.done() {
        bar.advance(trainer.advance()?);
        if let Some(message) = trainer.log(curve)? {
            bar.message(message);
        }
        trainer.checkpoint()?;
    }
    bar.finish();
    trainer.finish()
}

/// The student of the round before, where this one goes on from it.
fn before(plan: &Plan, run: &RunDir, arm: &Arm, seed: u64, round: u32) -> Option<PathBuf> {
    let rounds = plan.rounds.as_ref().filter(|rounds| rounds.student == RoundStudent::Continue)?;
    let goes_on = round > 0 && round < rounds.count && arm.name == rounds::arm(plan, round);
    goes_on.then(|| run.join(&student_file(&rounds::arm(plan, round - 1), seed)))
}

/// Evenly spaced images for the accuracy curve.
fn curve_images(test: Dataset) -> Dataset {
    let step = test.len().div_ceil(CURVE_IMAGES).max(1);
    let rows: Vec<usize> = (0..test.len()).step_by(step).collect();
    test.subset(&rows)
}

#[cfg(test)]
mod tests;
