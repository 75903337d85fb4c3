//! From config to plan: the files are looked up, the choices resolved, everything checked.

use std::path::Path;

use serde_json::Value;

use super::generator::generator;
use super::inputs::Inputs;
use super::magic::Kind;
use super::teachers::teachers;
use super::{
    DataPlan, DistillPlan, Files, Format, Keep, LinkPlan, Plan, PlannerPlan, RoundsPlan, SelectPlan, WeigherPlan, check,
};
use crate::config::{Config, DataConfig, DistillConfig, FilesConfig, RoundsConfig, SelectConfig, WeigherConfig};
use crate::{Error, Result};

/// Plans a run. `base` is the folder of the recipe, from which its paths go.
///
/// Reads and hashes every input file. Fails with [`Error::Input`] when a number is out of range, or a file is missing
/// or of the wrong kind.
pub fn plan(config: Config, base: &Path) -> Result<Plan> {
    let mut inputs = Inputs::new(base)?;
    let baseline = config.baseline.filter(|baseline| baseline.real);
    let data = data(&config.data, &mut inputs)?;
    if data.test.is_none() {
        return Err(missing("data.test", "the student's accuracy is counted on it"));
    }
    if baseline.is_some() && data.train.is_none() {
        return Err(missing("data.train", "the baseline is trained on it (or set `baseline.real = false`)"));
    }
    let generator = generator(config.generator, &mut inputs)?;
    let teacher = teachers(config.teacher, config.ensemble, data.classes, &mut inputs)?;
    let select = select(config.select, &mut inputs)?;
    let distill = distill(config.distill, &mut inputs)?;
    let in_all = (config.synth.images, distill.epochs);
    let rounds = config.rounds.map(|rounds| self::rounds(rounds, in_all, &mut inputs)).transpose()?;
    let plan = Plan {
        run: config.run,
        data,
        generator,
        synth: config.synth,
        rounds,
        teacher,
        select,
        distill,
        baseline,
        limits: config.limits,
        inputs: inputs.into_map(),
    };
    check::plan(&plan)?;
    Ok(plan)
}

pub(super) fn data(data: &DataConfig, inputs: &mut Inputs) -> Result<DataPlan> {
    let mut split = |key: &str, files: &Option<FilesConfig>| {
        files.as_ref().map(|files| self::files(key, data.format, files, inputs)).transpose()
    };
    let train = split("data.train", &data.train)?;
    let test = split("data.test", &data.test)?;
    let DataConfig { format, classes, size, channels, .. } = *data;
    let plan = DataPlan { format, classes, size, channels, train, test };
    check::data(&plan)?;
    Ok(plan)
}

fn files(key: &str, format: Format, files: &FilesConfig, inputs: &mut Inputs) -> Result<Files> {
    let given = [
        ("images", files.images.is_some(), Format::Idx),
        ("labels", files.labels.is_some(), Format::Idx),
        ("files", files.files.is_some(), Format::Cifar),
        ("path", files.path.is_some(), Format::Folder),
    ];
    // Shards are given as CIFAR's files are.
    let layout = if format == Format::Shards { Format::Cifar } else { format };
    if let Some((name, ..)) = given.iter().find(|(_, is_given, of)| *is_given && *of != layout) {
        let wanted: Vec<_> = given.iter().filter(|(_, _, of)| *of == layout).map(|(name, ..)| *name).collect();
        let wanted = wanted.join("` and `");
        return Err(Error::input(format!("`{key}.{name}` does not fit `data.format`, which needs `{wanted}`")));
    }
    let mut add = |name: &str, path: &Option<std::path::PathBuf>, kind| {
        let full = format!("{key}.{name}");
        let path = path.as_ref().ok_or_else(|| missing(&full, "`data.format` needs it"))?;
        inputs.add(&full, path, kind)
    };
    Ok(match format {
        Format::Idx => Files::Idx {
            images: add("images", &files.images, Kind::File)?,
            labels: add("labels", &files.labels, Kind::File)?,
        },
        Format::Folder => Files::Folder { path: add("path", &files.path, Kind::Folder)? },
        Format::Cifar | Format::Shards => {
            let list = files.files.as_deref().unwrap_or_default();
            if list.is_empty() {
                return Err(missing(&format!("{key}.files"), "`data.format` needs it"));
            }
            let add =
                |(i, path): (usize, &std::path::PathBuf)| inputs.add(&format!("{key}.files.{i}"), path, Kind::File);
            let files = list.iter().enumerate().map(add).collect::<Result<_>>()?;
            if format == Format::Shards { Files::Shards { files } } else { Files::Cifar { files } }
        }
    })
}

fn select(select: SelectConfig, inputs: &mut Inputs) -> Result<SelectPlan> {
    let alone = [
        ("policy", select.policy.is_some()),
        ("keep", select.keep.is_some()),
        ("budget", select.budget.is_some()),
        ("config", !select.config.is_empty()),
    ];
    if let Some((key, _)) = alone.iter().find(|(_, set)| *set && !select.chain.is_empty()) {
        return Err(Error::input(format!(
            "`select.chain` and `select.{key}` are both set: each policy of `[[select.chain]]` has a `{key}` of its own"
        )));
    }
    let keep = keep("select", select.keep, select.budget)?;
    let chain = select.chain.into_iter().enumerate().map(|(place, link)| {
        let key = format!("select.chain.{place}");
        Ok(LinkPlan {
            policy: inputs.add(&format!("{key}.policy"), &link.policy, Kind::Policy)?,
            role: link.role,
            keep: self::keep(&key, link.keep, link.budget)?,
            config: Value::Object(link.config),
        })
    });
    let chain = chain.collect::<Result<_>>()?;
    let mut add = |key: &str, path: Option<std::path::PathBuf>, kind| {
        path.map(|path| inputs.add(&format!("select.{key}"), &path, kind)).transpose()
    };
    Ok(SelectPlan {
        policy: add("policy", select.policy, Kind::Policy)?,
        keep,
        chain,
        student: add("student", select.student, Kind::Weights)?,
        history: add("history", select.history, Kind::Weights)?,
        external: add("external", select.external, Kind::File)?,
        config: Value::Object(select.config),
    })
}

/// A share or a number; `prefix` is the table that they are in.
fn keep(prefix: &str, share: Option<f32>, count: Option<usize>) -> Result<Keep> {
    match (share, count) {
        (Some(_), Some(_)) => Err(Error::input(format!(
            "`{prefix}.keep` and `{prefix}.budget` are both set: keep a share or a number, not both (`--set {prefix}.keep=` takes the share out)"
        ))),
        (share, None) => Ok(Keep::Fraction(share.unwrap_or(1.0))),
        (None, Some(count)) => Ok(Keep::Count(count)),
    }
}

fn distill(distill: DistillConfig, inputs: &mut Inputs) -> Result<DistillPlan> {
    if distill.weigher.is_some() && !distill.weighers.is_empty() {
        return Err(Error::input(
            "`distill.weigher` and `distill.weighers` are both set: put all of them into `[[distill.weighers]]`",
        ));
    }
    let mut weigher = |key: String, weigher: WeigherConfig| {
        let policy = inputs.add(&format!("{key}.policy"), &weigher.policy, Kind::Policy)?;
        Ok::<_, Error>(WeigherPlan { policy, config: Value::Object(weigher.config) })
    };
    let one = distill.weigher.map(|one| weigher("distill.weigher".into(), one)).transpose()?;
    let several = distill.weighers.into_iter().enumerate();
    let several =
        several.map(|(place, one)| weigher(format!("distill.weighers.{place}"), one)).collect::<Result<_>>()?;
    let cache = distill.cache.map(|mut cache| {
        cache.folder = cache.folder.map(|folder| inputs.absolute(&folder));
        cache
    });
    Ok(DistillPlan {
        student: distill.student,
        start: distill.start.map(|path| inputs.add("distill.start", &path, Kind::File)).transpose()?,
        epochs: distill.epochs,
        batch: distill.batch,
        temperature: distill.temperature,
        temperature_unit: distill.temperature_unit,
        seeds: distill.seeds,
        checkpoint_every: distill.checkpoint_every,
        ema: distill.ema,
        loss: distill.loss,
        optimizer: distill.optimizer,
        augment: distill.augment,
        weigher: one,
        weighers: several,
        cache,
    })
}

/// `images` and `epochs` are those of the whole run.
fn rounds(rounds: RoundsConfig, (images, epochs): (usize, u32), inputs: &mut Inputs) -> Result<RoundsPlan> {
    let planner = rounds.planner.map(|planner| {
        let policy = inputs.add("rounds.planner.policy", &planner.policy, Kind::Policy)?;
        Ok::<_, Error>(PlannerPlan { policy, config: Value::Object(planner.config) })
    });
    Ok(RoundsPlan {
        count: rounds.count,
        images_per_round: rounds.images_per_round.unwrap_or(images / rounds.count.max(1) as usize),
        epochs: rounds.epochs.unwrap_or(epochs),
        student: rounds.student,
        held_out: rounds.held_out,
        planner: planner.transpose()?,
    })
}

pub(super) fn missing(key: &str, why: &str) -> Error {
    Error::input(format!("missing key `{key}`: {why}"))
}
