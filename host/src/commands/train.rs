//! `limbeck train`: teachers and generators from real images.

use std::path::Path;

use limbeck::data::{Split, load};
use limbeck::plan::{plan_classifier, plan_generator};
use limbeck::progress::Progress;
use limbeck::run_dir::RunDir;
use limbeck::{Error, Result, recipe, train_classifier, train_generator};
use serde::de::DeserializeOwned;

use super::kept::Kept;
use crate::cli::{TrainArgs, TrainCommand};

pub fn train(command: &TrainCommand, progress: &Progress) -> Result<()> {
    match command {
        TrainCommand::Classifier(args) => {
            let plan = planned(args, plan_classifier, progress)?;
            let device = args.recipe.device.device.open()?;
            let material = train_classifier::prepare(&plan, &device, progress).map_err(|error| placed(error, args))?;
            let kept = Kept::begin(plan, &args.out)?;
            kept.tell(progress);
            train_classifier::train(&kept.plan, material, &kept.run, progress, &device)
        }
        TrainCommand::Generator(args) => {
            let plan = planned(args, plan_generator, progress)?;
            let device = args.recipe.device.device.open()?;
            let data = load(&plan.data, Split::Train, progress)?;
            train_generator::check(&plan, &data, &device).map_err(|error| placed(error, args))?;
            let kept = Kept::begin(plan, &args.out)?;
            kept.tell(progress);
            train_generator::train(&kept.plan, &data, &kept.run, progress, &device)
        }
    }
}

/// Reads the recipe and plans, once it is known that the directory takes files. Nothing is written yet.
fn planned<C: DeserializeOwned, P>(
    args: &TrainArgs,
    plan: fn(C, &Path) -> Result<P>,
    progress: &Progress,
) -> Result<P> {
    let recipe = &args.recipe;
    let config = recipe::load(&recipe.file, &recipe.set)?;
    let bar = progress.stage("check", 1, "step");
    bar.message("the files that the recipe names");
    let plan = plan(config, recipe.file.parent().unwrap_or(Path::new(""))).map_err(|error| placed(error, args))?;
    RunDir::try_out(&args.out)?;
    Ok(plan)
}

fn placed(error: Error, args: &TrainArgs) -> Error {
    recipe::locate(error, &args.recipe.file, &args.recipe.set)
}
