//! `limbeck train`: teachers and generators from real images.

use std::path::Path;

use limbeck::data::{Split, load};
use limbeck::plan::{Document, plan_classifier, plan_generator};
use limbeck::progress::Progress;
use limbeck::{Result, recipe, train_classifier, train_generator};

use super::kept::Kept;
use crate::cli::{TrainArgs, TrainCommand};

pub fn train(command: &TrainCommand, progress: &Progress) -> Result<()> {
    match command {
        TrainCommand::Classifier(args) => {
            let kept = begin(args, plan_classifier)?;
            let device = args.recipe.device.device.open()?;
            train_classifier::train(&kept.plan, &kept.run, progress, &device)
        }
        TrainCommand::Generator(args) => {
            let kept = begin(args, plan_generator)?;
            let device = args.recipe.device.device.open()?;
            let data = load(&kept.plan.data, Split::Train)?;
            train_generator::train(&kept.plan, &data, &kept.run, progress, &device)
        }
    }
}

/// Reads the recipe, plans, and takes up the directory.
fn begin<C: serde::de::DeserializeOwned, P: Document>(
    args: &TrainArgs,
    plan: fn(C, &Path) -> Result<P>,
) -> Result<Kept<P>> {
    let recipe = &args.recipe;
    let config = recipe::load(&recipe.file, &recipe.set)?;
    Kept::begin(plan(config, recipe.file.parent().unwrap_or(Path::new("")))?, &args.out)
}
