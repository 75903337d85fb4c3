//! `limbeck train`: teachers and generators from real images.

use std::path::Path;

use limbeck::data::{Split, load};
use limbeck::plan::{Document, plan_classifier, plan_generator};
use limbeck::progress::Progress;
use limbeck::run_dir::RunDir;
use limbeck::{Result, train_classifier, train_generator};
use serde::de::DeserializeOwned;

use super::kept::Kept;
use super::planned::{placed, planned};
use crate::cli::{TrainArgs, TrainCommand};

pub fn train(command: &TrainCommand, progress: &Progress) -> Result<()> {
    match command {
        TrainCommand::Classifier(args) => {
            let plan = begin(args, plan_classifier, progress)?;
            let device = args.recipe.device.device.open()?;
            let material =
                train_classifier::prepare(&plan, &device, progress).map_err(|error| placed(error, &args.recipe))?;
            let kept = Kept::begin(plan, &args.out)?;
            kept.tell(progress);
            train_classifier::train(&kept.plan, material, &kept.run, progress, &device)
        }
        TrainCommand::Generator(args) => {
            let plan = begin(args, plan_generator, progress)?;
            let device = args.recipe.device.device.open()?;
            let data = load(&plan.data, Split::Train, progress)?;
            train_generator::check(&plan, &data, &device).map_err(|error| placed(error, &args.recipe))?;
            let kept = Kept::begin(plan, &args.out)?;
            kept.tell(progress);
            train_generator::train(&kept.plan, &data, &kept.run, progress, &device)
        }
    }
}

/// The plan, once it is known that the directory takes files. Nothing is written yet.
fn begin<C: DeserializeOwned, P: Document>(
    args: &TrainArgs,
    plan: fn(C, &Path) -> Result<P>,
    progress: &Progress,
) -> Result<P> {
    let bar = progress.stage("check", 1, "step");
    bar.message("the files that the recipe names");
    let plan = planned(&args.recipe, plan)?;
    RunDir::try_out(&args.out)?;
    Ok(plan)
}
