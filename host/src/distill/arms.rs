//! The images that students learn from: the kept synthetic ones, and as many real ones for comparison.

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use serde::Deserialize;

use crate::data::{Dataset, Split, load};
use crate::plan::Plan;
use crate::pool::Pool;
use crate::run_dir::RunDir;
use crate::seed::{Purpose, rng};
use crate::{Error, Result};

/// One set of images to learn from.
pub struct Arm {
    /// `synthetic` or `real`.
    pub name: &'static str,
    pub data: Dataset,
    /// The id of each image: in the pool, or the row among the real training images.
    pub ids: Vec<u64>,
}

/// What this stage reads of `subset/round-000.json`.
#[derive(Deserialize)]
struct Subset {
    kept: Vec<u64>,
}

/// The arms of a plan: the kept images of the pool and, if the plan has a baseline, as many real ones.
pub fn read(plan: &Plan, run: &RunDir) -> Result<Vec<Arm>> {
    let synthetic = synthetic(plan, run)?;
    let real = plan.baseline.as_ref().filter(|baseline| baseline.real);
    let real = real.map(|_| real_images(plan, synthetic.ids.len())).transpose()?;
    Ok([Some(synthetic), real].into_iter().flatten().collect())
}

fn synthetic(plan: &Plan, run: &RunDir) -> Result<Arm> {
    const SUBSET: &str = "subset/round-000.json";
    let subset: Subset = run.read_json(SUBSET)?.ok_or_else(|| {
        Error::input(format!("`{}` is not there: run `limbeck select` first", run.join(SUBSET).display()))
    })?;
    let kept: BTreeSet<u64> = subset.kept.into_iter().collect();
    let mut pool = Pool::read(run, 0)?;
    pool.samples.retain(|sample| kept.contains(&sample.id));
    if pool.samples.is_empty() || pool.samples.len() != kept.len() {
        return Err(Error::input(format!(
            "`{}` keeps {} images, of which the pool has {}: run `limbeck select` again",
            run.join(SUBSET).display(),
            kept.len(),
            pool.samples.len()
        )));
    }
    let ids = pool.samples.iter().map(|sample| sample.id).collect();
    Ok(Arm { name: "synthetic", data: pool.to_dataset(plan.data.classes), ids })
}

/// `count` real training images, drawn by the run's seed: the same for every student.
fn real_images(plan: &Plan, count: usize) -> Result<Arm> {
    let all = load(&plan.data, Split::Train)?;
    if all.len() < count {
        return Err(Error::input(format!(
            "the baseline needs {count} real images, `data.train` has {}: keep fewer, or set `baseline.real = false`",
            all.len()
        )));
    }
    let mut rows: Vec<usize> = (0..all.len()).collect();
    rows.shuffle(&mut rng(plan.run.seed, Purpose::Subset, 0));
    rows.truncate(count);
    rows.sort_unstable();
    Ok(Arm { name: "real", data: all.subset(&rows), ids: rows.iter().map(|&row| row as u64).collect() })
}
