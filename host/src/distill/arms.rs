//! The images that students learn from: the kept synthetic ones, and as many real ones for comparison.

use rand::seq::SliceRandom;

use crate::data::{Dataset, Split, load};
use crate::plan::Plan;
use crate::progress::{Progress, counted};
use crate::rounds;
use crate::run_dir::RunDir;
use crate::seed::{Purpose, rng};
use crate::{Error, Result};

/// One set of images to learn from.
pub struct Arm {
    /// `synthetic` or `real`; before the last round `rounds/RRR`.
    pub name: String,
    /// After which its students are trained.
    pub round: u32,
    pub data: Dataset,
    /// The id of each image: in the pool, or the row among the real training images.
    pub ids: Vec<u64>,
}

/// The arms after a round: the kept images of all rounds so far and, if the plan has a baseline, as many real ones.
pub fn read(plan: &Plan, run: &RunDir, progress: &Progress, round: u32) -> Result<Vec<Arm>> {
    let synthetic = synthetic(plan, run, round)?;
    let real = plan.baseline.as_ref().filter(|baseline| baseline.real);
    let real = real.map(|_| real_images(plan, progress, synthetic.ids.len(), round)).transpose()?;
    Ok([Some(synthetic), real].into_iter().flatten().collect())
}

fn synthetic(plan: &Plan, run: &RunDir, round: u32) -> Result<Arm> {
    let (pool, _) = rounds::kept_so_far(plan, run, round)?;
    let ids = pool.samples.iter().map(|sample| sample.id).collect();
    Ok(Arm { name: rounds::arm(plan, round), round, data: pool.to_dataset(plan.data.classes), ids })
}

/// Fails where there are fewer real images than will be kept, and warns where it depends on a policy.
pub fn check_baseline(plan: &Plan, real: usize, progress: &Progress) -> Result<()> {
    let most = plan.most_kept();
    if real >= most {
        return Ok(());
    }
    if plan.select.policy.is_none() && plan.select.chain.is_empty() {
        return Err(too_few(most, real));
    }
    progress.warn(format_args!(
        "the baseline takes as many real images as are kept, which may be {most}, and `data.train` has {real}: should more than \
         these be kept, no student is trained until you keep fewer or set `baseline.real = false`"
    ));
    Ok(())
}

fn too_few(count: usize, real: usize) -> Error {
    let images = counted(count, "real image");
    Error::input(format!(
        "the baseline needs {images}, `data.train` has {real}: keep fewer, or set `baseline.real = false`"
    ))
}

/// `count` real training images, drawn by the run's seed: the same for every student.
fn real_images(plan: &Plan, progress: &Progress, count: usize, round: u32) -> Result<Arm> {
    let all = load(&plan.data, Split::Train, progress)?;
    if all.len() < count {
        return Err(too_few(count, all.len()));
    }
    let mut rows: Vec<usize> = (0..all.len()).collect();
    rows.shuffle(&mut rng(plan.run.seed, Purpose::Subset, 0));
    rows.truncate(count);
    rows.sort_unstable();
    let ids = rows.iter().map(|&row| row as u64).collect();
    Ok(Arm { name: "real".into(), round, data: all.subset(&rows), ids })
}
