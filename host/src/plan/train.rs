//! The plans of `limbeck train`: a classifier or a generator from real images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::check::{self, within};
use super::inputs::Inputs;
use super::magic::Kind;
use super::make::{data, missing};
use super::{AugmentPlan, DataPlan, DiffusionPlan, DitPlan, Input, OptimizerPlan};
use crate::config::{ClassifierRecipe, GeneratorRecipe};
use crate::{Error, Result};

/// The training of a classifier; see the fields of `config::ClassifierTrainConfig`. `data.train` is always there.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClassifierPlan {
    pub name: String,
    pub seed: u64,
    pub network: String,
    #[serde(default)]
    pub start: Option<PathBuf>,
    pub epochs: u32,
    pub batch: usize,
    /// Train on this many images, drawn by seed; `None` is all.
    pub images: Option<usize>,
    pub checkpoint_every: u64,
    pub workers: Option<usize>,
    #[serde(default)]
    pub ema: f64,
    pub optimizer: OptimizerPlan,
    pub augment: AugmentPlan,
    pub data: DataPlan,
    pub inputs: BTreeMap<String, Input>,
}

/// The training of a generator; see the fields of `config::GeneratorTrainConfig`. `data.train` is always there.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratorTrainPlan {
    pub name: String,
    pub seed: u64,
    pub start: Option<PathBuf>,
    pub epochs: u32,
    pub batch: usize,
    pub checkpoint_every: u64,
    pub label_dropout: f32,
    pub ema: f64,
    pub model: DitPlan,
    pub diffusion: DiffusionPlan,
    pub optimizer: OptimizerPlan,
    pub data: DataPlan,
    pub inputs: BTreeMap<String, Input>,
}

/// Plans the training of a classifier. Fails as [`super::plan`] does.
pub fn plan_classifier(recipe: ClassifierRecipe, base: &Path) -> Result<ClassifierPlan> {
    let mut inputs = Inputs::new(base)?;
    let train = recipe.train;
    let plan = ClassifierPlan {
        name: train.name,
        seed: train.seed,
        network: train.network,
        start: train.start.map(|path| inputs.add("train.start", &path, Kind::File)).transpose()?,
        epochs: train.epochs,
        batch: train.batch,
        images: train.images,
        checkpoint_every: train.checkpoint_every,
        workers: train.workers,
        ema: train.ema,
        optimizer: train.optimizer,
        augment: train.augment,
        data: data(&recipe.data, &mut inputs)?,
        inputs: inputs.into_map(),
    };
    check_classifier(&plan)?;
    Ok(plan)
}

/// Plans the training of a generator. Fails as [`super::plan`] does.
pub fn plan_generator(recipe: GeneratorRecipe, base: &Path) -> Result<GeneratorTrainPlan> {
    let mut inputs = Inputs::new(base)?;
    let train = recipe.train;
    let plan = GeneratorTrainPlan {
        name: train.name,
        seed: train.seed,
        start: train.start.map(|path| inputs.add("train.start", &path, Kind::File)).transpose()?,
        epochs: train.epochs,
        batch: train.batch,
        checkpoint_every: train.checkpoint_every,
        label_dropout: train.label_dropout,
        ema: train.ema,
        model: train.model,
        diffusion: train.diffusion,
        optimizer: train.optimizer,
        data: data(&recipe.data, &mut inputs)?,
        inputs: inputs.into_map(),
    };
    check_generator(&plan)?;
    Ok(plan)
}

pub(super) fn check_classifier(plan: &ClassifierPlan) -> Result<()> {
    check_common(&plan.name, plan.seed, plan.epochs, plan.batch, plan.checkpoint_every, &plan.data)?;
    if let Some(images) = plan.images {
        within("train.images", images, 1..=1_000_000_000)?;
    }
    if let Some(workers) = plan.workers {
        within("train.workers", workers, 1..=256)?;
    }
    within("train.ema", plan.ema, 0.0..1.0)?;
    check::optimizer("train.optimizer", &plan.optimizer, plan.epochs)?;
    check::augment("train.augment", &plan.augment)
}

pub(super) fn check_generator(plan: &GeneratorTrainPlan) -> Result<()> {
    check_common(&plan.name, plan.seed, plan.epochs, plan.batch, plan.checkpoint_every, &plan.data)?;
    within("train.label-dropout", plan.label_dropout, 0.0..1.0)?;
    within("train.ema", plan.ema, 0.0..1.0)?;
    let model = &plan.model;
    within("train.model.patch", model.patch, 1..=64)?;
    within("train.model.width", model.width, 8..=8192)?;
    within("train.model.depth", model.depth, 1..=256)?;
    within("train.model.heads", model.heads, 1..=256)?;
    if !model.width.is_multiple_of(model.heads) {
        let DitPlan { width, heads, .. } = model;
        return Err(Error::input(format!("`train.model.width` is {width}, must be a multiple of `heads`, {heads}")));
    }
    within("train.diffusion.steps", plan.diffusion.steps, 10..=10_000)?;
    check::optimizer("train.optimizer", &plan.optimizer, plan.epochs)
}

fn check_common(name: &str, seed: u64, epochs: u32, batch: usize, every: u64, data: &DataPlan) -> Result<()> {
    check::name("train.name", name)?;
    check::seed("train.seed", seed)?;
    within("train.epochs", epochs, 1..=100_000)?;
    within("train.batch", batch, 1..=100_000)?;
    within("train.checkpoint-every", every, 1..=1_000_000)?;
    check::data(data)?;
    if data.train.is_none() {
        return Err(missing("data.train", "it is what the network learns from"));
    }
    Ok(())
}
