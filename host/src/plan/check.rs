//! The range of every number. The messages name key, value and what is allowed.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use super::{
    AugmentPlan, DataPlan, DistillPlan, Format, Keep, LimitsPlan, LossKind, LossPlan, OptimizerPlan, Plan, RoundsPlan,
    SynthPlan, TemperatureUnit,
};
use crate::{Error, Result};

/// Above 0, up to and with `high`.
fn above_zero<T: Default>(high: T) -> (Bound<T>, Bound<T>) {
    (Bound::Excluded(T::default()), Bound::Included(high))
}

/// Fails unless `value` is in `range`; a NaN never is.
pub(super) fn within<T: PartialOrd + Display>(key: &str, value: T, range: impl RangeBounds<T>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let low = match range.start_bound() {
        Bound::Included(low) => format!("at least {low}"),
        Bound::Excluded(low) => format!("more than {low}"),
        Bound::Unbounded => String::new(),
    };
    let high = match range.end_bound() {
        Bound::Included(high) => format!(" and at most {high}"),
        Bound::Excluded(high) => format!(" and less than {high}"),
        Bound::Unbounded => String::new(),
    };
    Err(Error::input(format!("`{key}` is {value}, must be {low}{high}")))
}

/// Names become folder names.
pub(super) fn name(key: &str, value: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !value.is_empty() && value.len() <= 100 && value.chars().all(good) && !value.starts_with('.') {
        return Ok(());
    }
    Err(Error::input(format!(
        "`{key}` is `{value}`, must be 1 to 100 letters, digits, `-`, `_` or `.`, and not begin with `.`"
    )))
}

/// TOML has no larger integers, so `plan.toml` couldn't hold the seed.
pub(super) fn seed(key: &str, value: u64) -> Result<()> {
    within(key, value, 0..=i64::MAX as u64)
}

pub(super) fn plan(plan: &Plan) -> Result<()> {
    name("run.name", &plan.run.name)?;
    seed("run.seed", plan.run.seed)?;
    data(&plan.data)?;
    synth(&plan.synth)?;
    plan.rounds.as_ref().map_or(Ok(()), |rounds| self::rounds(plan, rounds))?;
    keep("select", plan.select.keep, plan.synth.images)?;
    for (place, link) in plan.select.chain.iter().enumerate() {
        keep(&format!("select.chain.{place}"), link.keep, plan.synth.images)?;
    }
    distill(&plan.distill)?;
    if plan.distill.loss.kind == LossKind::KdStandardised && plan.data.classes == 2 {
        return Err(Error::input(
            "`distill.loss.kind` is `kd-standardised` and `data.classes` is 2: two logits of mean 0 and deviation 1 differ \
             from all others by their order alone, which has no gradient: take another kind",
        ));
    }
    if plan.teacher.members.is_empty() {
        return Err(Error::input("the plan has no teacher"));
    }
    let unknown = |name: &&String| !plan.teacher.members.contains_key(*name);
    if let Some(name) = plan.teacher.classes.iter().find(unknown) {
        return Err(Error::input(format!("`teacher.classes` names `{name}`, which is no teacher of the plan")));
    }
    limits(&plan.limits)
}

fn keep(prefix: &str, keep: Keep, images: usize) -> Result<()> {
    match keep {
        Keep::Fraction(share) => within(&format!("{prefix}.keep"), share, above_zero(1.0)),
        Keep::Count(count) => within(&format!("{prefix}.budget"), count, 1..=images),
    }
}

pub(super) fn data(data: &DataPlan) -> Result<()> {
    within("data.classes", data.classes, 2..=100_000)?;
    match (data.size, data.format) {
        (Some(size), Format::Folder | Format::Shards) => {
            within("data.size", size, 8..=1024)?;
            if data.channels != 1 && data.channels != 3 {
                return Err(Error::input(format!("`data.channels` is {}, must be 1 or 3", data.channels)));
            }
            Ok(())
        }
        (Some(_), _) => Err(Error::input(
            "`data.size` is for the formats `folder` and `shards`: take it out, these images have a size",
        )),
        (None, Format::Shards) => Err(Error::input(
            "missing key `data.size`: shards hold images of any size, which are cut to squares of this side",
        )),
        (None, _) => Ok(()),
    }
}

fn synth(synth: &SynthPlan) -> Result<()> {
    within("synth.images", synth.images, 1..=10_000_000)?;
    within("synth.steps", synth.steps, 1..=10_000)?;
    within("synth.guidance", synth.guidance, 0.0..=100.0)?;
    if let Some(channels) = synth.guided_channels {
        within("synth.guided-channels", channels, 1..=1024)?;
    }
    within("synth.eta", synth.eta, 0.0..=1.0)?;
    within("synth.batch", synth.batch, 1..=100_000)?;
    within("synth.shard", synth.shard, 1..=1_000_000)
}

fn rounds(plan: &Plan, rounds: &RoundsPlan) -> Result<()> {
    within("rounds.count", rounds.count, 1..=1000)?;
    let later = rounds.count as usize - 1;
    if plan.synth.images <= later {
        let images = plan.synth.images;
        return Err(Error::input(format!(
            "`rounds.count` is {}, and `synth.images` are {images}: every round needs an image",
            rounds.count
        )));
    }
    let most = (plan.synth.images - 1).checked_div(later).unwrap_or(plan.synth.images);
    within("rounds.images-per-round", rounds.images_per_round, 1..=most)?;
    within("rounds.epochs", rounds.epochs, 1..=100_000)?;
    within("rounds.held-out", rounds.held_out, above_zero(0.9))?;
    if plan.distill.optimizer.warmup_epochs > f64::from(rounds.epochs) {
        return Err(Error::input(format!(
            "`distill.optimizer.warmup-epochs` is {}, `rounds.epochs` is {}: warm up for at most these",
            plan.distill.optimizer.warmup_epochs, rounds.epochs
        )));
    }
    let mut kept = plan.select.chain.iter().map(|link| link.keep).chain([plan.select.keep]);
    if kept.any(|keep| matches!(keep, Keep::Count(_))) {
        return Err(Error::input(
            "a `budget` under [select] counts the images of one round, and `[rounds]` has several: set `keep` instead",
        ));
    }
    Ok(())
}

fn distill(distill: &DistillPlan) -> Result<()> {
    let seeds = &distill.seeds;
    within("distill.epochs", distill.epochs, 1..=100_000)?;
    within("distill.batch", distill.batch, 1..=100_000)?;
    within("distill.temperature", distill.temperature, above_zero(1000.0))?;
    if seeds.is_empty() || seeds.len() > 100 {
        return Err(Error::input(format!("`distill.seeds` has {} numbers, must have 1 to 100", seeds.len())));
    }
    for (i, value) in seeds.iter().enumerate() {
        seed("distill.seeds", *value)?;
        if seeds[..i].contains(value) {
            return Err(Error::input(format!(
                "`distill.seeds` has {value} twice: it would train the same student twice"
            )));
        }
    }
    within("distill.checkpoint-every", distill.checkpoint_every, 1..=1_000_000)?;
    within("distill.ema", distill.ema, 0.0..1.0)?;
    loss(&distill.loss)?;
    temperature_unit(distill)?;
    optimizer("distill.optimizer", &distill.optimizer, distill.epochs)?;
    augment("distill.augment", &distill.augment)?;
    let Some(cache) = &distill.cache else { return Ok(()) };
    within("distill.cache.variations", cache.variations, 0..=100_000)?;
    within("distill.cache.size-mib", cache.size_mib, 1..=10_000_000)?;
    if cache.variations > 0 && (distill.augment.mixup > 0.0 || distill.augment.cutmix > 0.0) {
        return Err(Error::input(
            "`distill.cache.variations` repeats variations of single images, `mixup` and `cutmix` mix those of a step: \
             set `variations = 0`, or turn both off",
        ));
    }
    Ok(())
}

fn loss(loss: &LossPlan) -> Result<()> {
    let parts = [("weight", loss.weight), ("cross-entropy", loss.cross_entropy), ("hint", loss.hint)];
    let inner = [
        ("dkd-alpha", loss.dkd_alpha),
        ("dkd-beta", loss.dkd_beta),
        ("dist-beta", loss.dist_beta),
        ("dist-gamma", loss.dist_gamma),
    ];
    for (key, value) in parts.into_iter().chain(inner) {
        within(&format!("distill.loss.{key}"), value, 0.0..=1000.0)?;
    }
    if parts.iter().all(|(_, value)| *value == 0.0) {
        return Err(Error::input(
            "`distill.loss.weight`, `cross-entropy` and `hint` are all 0: there is nothing to learn from, make one larger",
        ));
    }
    Ok(())
}

/// Two kinds of loss have no use for a temperature in deviations of the logits.
fn temperature_unit(distill: &DistillPlan) -> Result<()> {
    let why = match (distill.temperature_unit, distill.loss.kind) {
        (TemperatureUnit::LogitStd, LossKind::KdStandardised) => "`kd-standardised` divides by the deviation itself",
        (TemperatureUnit::LogitStd, LossKind::LogitMse) => "`logit-mse` has no temperature",
        _ => return Ok(()),
    };
    Err(Error::input(format!(
        "`distill.temperature-unit` is `logit-std`, but `distill.loss.kind` {why}: take one of the two out"
    )))
}

/// `prefix` is the table's name, `epochs` the length of the training.
pub(super) fn optimizer(prefix: &str, optimizer: &OptimizerPlan, epochs: u32) -> Result<()> {
    let key = |name: &str| format!("{prefix}.{name}");
    within(&key("lr"), optimizer.lr, above_zero(100.0))?;
    within(&key("momentum"), optimizer.momentum, 0.0..1.0)?;
    within(&key("weight-decay"), optimizer.weight_decay, 0.0..=1.0)?;
    within(&key("warmup-epochs"), optimizer.warmup_epochs, 0.0..=f64::from(epochs))?;
    within(&key("gamma"), optimizer.gamma, above_zero(1.0))?;
    if let Some(norm) = optimizer.clip_norm {
        within(&key("clip-norm"), norm, above_zero(1e6))?;
    }
    within(&key("accumulate"), optimizer.accumulate, 1..=10_000)?;
    if !optimizer.milestones.is_sorted_by(|a, b| a < b) {
        let milestones = &optimizer.milestones;
        return Err(Error::input(format!("`{prefix}.milestones` is {milestones:?}, must be rising numbers of epochs")));
    }
    Ok(())
}

pub(super) fn augment(prefix: &str, augment: &AugmentPlan) -> Result<()> {
    let key = |name: &str| format!("{prefix}.{name}");
    within(&key("crop-padding"), augment.crop_padding, 0..=64)?;
    within(&key("rotate"), augment.rotate, 0.0..=180.0)?;
    within(&key("mixup"), augment.mixup, 0.0..=100.0)?;
    within(&key("cutmix"), augment.cutmix, 0.0..=100.0)?;
    within(&key("resized-crop"), augment.resized_crop, 0.0..=1.0)?;
    within(&key("rand-augment"), augment.rand_augment, 0..=10)?;
    within(&key("rand-augment-magnitude"), augment.rand_augment_magnitude, 0..=30)?;
    within(&key("brightness"), augment.brightness, 0.0..=1.0)?;
    within(&key("contrast"), augment.contrast, 0.0..=1.0)?;
    within(&key("saturation"), augment.saturation, 0.0..=1.0)?;
    within(&key("hue"), augment.hue, 0.0..=0.5)
}

fn limits(limits: &LimitsPlan) -> Result<()> {
    within("limits.fuel", limits.fuel, 1000..=1_000_000_000_000_000)?;
    within("limits.memory-mib", limits.memory_mib, 1..=4096)?;
    within("limits.seconds", limits.seconds, above_zero(86_400.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_is_allowed() {
        let says = |result: Result<()>| result.unwrap_err().to_string();
        assert_eq!(says(within("a", 0, 1..=5)), "`a` is 0, must be at least 1 and at most 5");
        assert_eq!(says(within("a", 0.0, above_zero(1.0))), "`a` is 0, must be more than 0 and at most 1");
        assert_eq!(says(within("a", f32::NAN, 0.0..1.0)), "`a` is NaN, must be at least 0 and less than 1");
    }

    #[test]
    fn names_stay_inside_their_folder() {
        for bad in ["", "..", "a/b", ".hidden", "a b"] {
            name("run.name", bad).unwrap_err();
        }
        name("run.name", "mnist-2.1_x").unwrap();
    }
}
