//! What can be known to fail later is found out before any work: a run takes minutes, or days.

use std::path::Path;

use candle_core::Device;
use limbeck::backend::{Classifier, open_teacher};
use limbeck::data::{Dataset, Split, load};
use limbeck::diffusion::generator::Generator;
use limbeck::plan::Plan;
use limbeck::policy::WeigherFactory;
use limbeck::progress::Progress;
use limbeck::words::image_shape;
use limbeck::{Context as _, Error, Result, distill, planning, select, synth};

/// Opens everything that the plan names, compares the sizes, and tries the teacher, unless it has graded images in `out` before.
/// Gives the teacher, which is opened only once.
pub fn preflight(plan: &Plan, out: &Path, device: &Device, progress: &Progress) -> Result<Box<dyn Classifier>> {
    let generator = Generator::open(&plan.generator, device, progress)?;
    synth::check(plan, &generator)?;
    let test = load(&plan.data, Split::Test, progress)?;
    alike(plan, &generator, &test, "data.test")?;
    distill::check_student(plan, &test, device)?;
    if plan.baseline.is_some() {
        let train = load(&plan.data, Split::Train, progress)?;
        alike(plan, &generator, &train, "data.train")?;
        distill::check_baseline(plan, train.len(), progress)?;
    }
    planning::check(plan, progress)?;
    WeigherFactory::open(plan, progress)?;
    let teacher = open_teacher(&plan.teacher, device, progress)?;
    select::check(plan, teacher.info(), progress)?;
    distill::check(plan, teacher.info(), &test).context("the generator's images")?;
    select::try_teacher(teacher.as_ref(), out)?;
    Ok(teacher)
}

/// Students learn from drawn images and are judged on real ones, so both must have one size.
fn alike(plan: &Plan, generator: &Generator, data: &Dataset, key: &str) -> Result<()> {
    let (shape, drawn) = ((data.channels, data.height, data.width), generator.shape.into());
    if shape == drawn {
        return Ok(());
    }
    Err(Error::input(format!(
        "the images of `{key}` are {}, those that generator `{}` draws {}: name images of one size",
        image_shape(shape),
        plan.generator.shown().display(),
        image_shape(drawn)
    )))
}
