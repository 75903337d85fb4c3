//! How good the drawn images are, in numbers: does the teacher see the class that was asked for, and how far are its
//! features on them from those on real images.

mod frechet;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::backend::Classifier;
use crate::data::{Dataset, Split, load};
use crate::plan::Plan;
use crate::pool::Pool;
use crate::progress::{Bar, Progress};
use crate::run_dir::RunDir;
use crate::{Error, Result};

pub use frechet::Gaussian;

/// Images a pass through the teacher; it changes speed and memory only.
const BATCH: usize = 250;

/// The content of `fidelity.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// How many drawn images were judged.
    pub images: usize,
    pub guidance: f32,
    pub steps: usize,
    pub sampler: String,
    /// The share of drawn images that the teacher takes for the class that was asked for.
    pub teacher_accuracy: f64,
    /// Fréchet distance in the teacher's features, drawn images to the real test images. Smaller is closer.
    pub frechet_distance: f64,
    /// The same for as many real training images (all, where there are fewer): what a perfect generator would reach.
    pub frechet_real: Option<f64>,
    /// How many real training images that was.
    pub real_images: usize,
}

/// Judges the images of all rounds of a run and writes `fidelity.json`. Needs a teacher that gives features, and `data.test`.
pub fn run(plan: &Plan, run: &RunDir, progress: &Progress, teacher: &dyn Classifier) -> Result<Fidelity> {
    let mut pool = Pool::default();
    for round in 0..plan.round_count() {
        pool.samples.extend(Pool::read(run, round)?.samples);
    }
    let drawn = pool.to_dataset(plan.data.classes);
    let test = load(&plan.data, Split::Test, progress)?;
    let real = plan.data.train.as_ref().map(|_| load(&plan.data, Split::Train, progress)).transpose()?;
    let real = real.map(|data| first(data, drawn.len()));
    let total = drawn.len() + test.len() + real.as_ref().map_or(0, Dataset::len);
    let bar = progress.stage("fidelity", total as u64, "images");
    let (of_drawn, correct) = judge(teacher, &drawn, &bar)?;
    let (of_test, _) = judge(teacher, &test, &bar)?;
    let of_real = real.as_ref().map(|data| judge(teacher, data, &bar)).transpose()?;
    bar.finish();
    let fidelity = Fidelity {
        images: drawn.len(),
        guidance: plan.synth.guidance,
        steps: plan.synth.steps,
        sampler: format!("{:?}", plan.synth.sampler).to_lowercase(),
        teacher_accuracy: correct as f64 / drawn.len() as f64,
        frechet_distance: of_drawn.distance(&of_test),
        frechet_real: of_real.map(|(of_real, _)| of_real.distance(&of_test)),
        real_images: real.as_ref().map_or(0, Dataset::len),
    };
    run.write_json("fidelity.json", &fidelity)?;
    Ok(fidelity)
}

/// The first `count` images, or all.
fn first(data: Dataset, count: usize) -> Dataset {
    let rows: Vec<usize> = (0..data.len().min(count)).collect();
    data.subset(&rows)
}

/// The Gaussian of the teacher's features on a data set, and how many images it gets right.
fn judge(teacher: &dyn Classifier, data: &Dataset, bar: &Bar) -> Result<(Gaussian, usize)> {
    let mut features: Vec<Vec<f32>> = Vec::with_capacity(data.len());
    let mut correct = 0;
    let rows: Vec<usize> = (0..data.len()).collect();
    for rows in rows.chunks(BATCH) {
        let (images, labels) = data.batch(rows)?;
        let grades = teacher.classify(&images)?;
        let guesses: Vec<u32> = grades.logits.argmax(1)?.to_vec1()?;
        correct += guesses.iter().zip(&labels).filter(|(guess, label)| guess == label).count();
        let of_batch = grades.features.as_ref().map(Tensor::to_vec2::<f32>).transpose()?;
        features.extend(of_batch.ok_or_else(|| {
            Error::input(format!(
                "teacher `{}` gives no features, which the Fréchet distance compares: name another with teacher.plugin",
                teacher.info().name
            ))
        })?);
        bar.advance(rows.len() as u64);
    }
    Ok((Gaussian::of(&features)?, correct))
}
