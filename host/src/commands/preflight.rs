//! What can be known to fail later is found out before any work: a run takes minutes, or days.

use candle_core::Device;
use limbeck::backend::{Classifier, open_classifier};
use limbeck::data::{Dataset, Split, load};
use limbeck::diffusion::generator::Generator;
use limbeck::plan::Plan;
use limbeck::policy::{Policy, Role, Sandbox, WeigherFactory};
use limbeck::progress::Progress;
use limbeck::{Context as _, Error, Result, synth};
use limbeck_models::{Params, classifier};

/// Opens everything that the plan names and compares the sizes. Gives the teacher, which opens only once.
pub fn preflight(plan: &Plan, device: &Device, progress: &Progress) -> Result<Box<dyn Classifier>> {
    let generator = Generator::open(&plan.generator.weights, device)?;
    synth::check(plan, &generator)?;
    let model = &generator.config.model;
    let size = Size { classes: model.classes, channels: model.channels, side: model.size };
    let generator = format!("generator `{}`", plan.generator.weights.display());
    student(plan, &size)?;
    policies(plan, progress)?;
    for (split, is_read) in [(Split::Test, true), (Split::Train, plan.baseline.is_some())] {
        if is_read {
            images(&load(&plan.data, split)?, split, &size, &generator)?;
        }
    }
    let teacher = open_classifier(&plan.teacher, device)?;
    let info = teacher.info();
    let grades = Size { classes: info.classes, channels: info.channels, side: info.height };
    if grades != size || info.width != info.height {
        return Err(Error::input(format!(
            "teacher `{}` grades {grades}, {generator} draws {size}: name a teacher and a generator of the same images",
            info.name
        )));
    }
    Ok(teacher)
}

/// What a network makes or takes.
#[derive(PartialEq, Eq)]
struct Size {
    classes: usize,
    channels: usize,
    side: usize,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { classes, channels, side } = self;
        write!(f, "{channels}x{side}x{side} images of {classes} classes")
    }
}

/// The network exists and suits the images.
fn student(plan: &Plan, size: &Size) -> Result<()> {
    let fresh = Params::from_seed(0, &Device::Cpu);
    classifier::build(&plan.distill.student, size.classes, size.channels, size.side, &fresh)
        .map(|_| ())
        .context("`distill.student`")
}

fn policies(plan: &Plan, progress: &Progress) -> Result<()> {
    if let Some(path) = &plan.select.policy {
        Policy::open(&Sandbox::new()?, path)?.role(&[Role::Scorer, Role::Selector])?;
    }
    WeigherFactory::open(plan, progress).map(|_| ())
}

/// Real images are compared with drawn ones, so they must look alike.
fn images(data: &Dataset, split: Split, size: &Size, generator: &str) -> Result<()> {
    let found = (data.channels, data.height, data.width);
    if found == (size.channels, size.side, size.side) {
        return Ok(());
    }
    let (channels, height, width) = found;
    Err(Error::input(format!(
        "the {split:?} images of `data` are {channels}x{height}x{width}, {generator} draws {size}: name images of that size"
    )))
}
