//! `limbeck bench backend`: what a teacher costs through `dlopen`, beside the same network linked in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use limbeck::backend::{Backend as _, Classifier, Services, inspect, link_classifier, open_classifier};
use limbeck::bench::turns::{Turns, take_turns};
use limbeck::plan::PluginPlan;
use limbeck::progress::Progress;
use limbeck::seed::{Purpose, rng};
use limbeck::{Context as _, Error, Result};
use limbeck_candle::CandleClassifier;
use limbeck_models::classifier::{self, Mode, Network};
use limbeck_models::{Params, checkpoint};
use rand::Rng as _;
use serde_json::json;

use crate::cli::BenchBackendArgs;

const CHANNELS: usize = 3;
/// ImageNet's, the same for each channel: only the time counts.
const MEAN: f64 = 0.45;
const STD: f64 = 0.225;

/// Times three ways to the same logits: the plugin opened, the same code linked in, and the network called directly.
pub fn bench(args: &BenchBackendArgs, progress: &Progress) -> Result<()> {
    let device = args.device.device.open()?;
    let folder = tempfile::tempdir()?;
    let weights = folder.path().join("weights.safetensors");
    std::fs::write(&weights, random_weights(args)?)?;
    let plugin = plugin(args)?;
    let found = inspect(&plugin)?.manifest.name;
    if found != CandleClassifier::manifest().name {
        return Err(Error::input(format!(
            "plugin `{}` is `{found}`, nothing else of which is linked in to compare it with: `limbeck backend check` tells the \
             speed of any plugin",
            plugin.display()
        )));
    }
    let opened = open_classifier(&teacher(&plugin, &weights), &device)?;
    let config = json!({ "weights": weights });
    let linked = link_classifier::<CandleClassifier>(&config, &device, Services::default())?;
    let direct = direct(args, &weights, &device)?;
    let images = images(args, &device)?;
    let asked = |teacher: &dyn Classifier| teacher.classify(&images).map(|grades| grades.logits);
    let directly = || -> Result<Tensor> {
        let normalised = images.affine(1.0 / STD, -MEAN / STD)?;
        Ok(direct.forward(&normalised, Mode::Evaluation)?.logits)
    };
    agree(&asked(opened.as_ref())?, &asked(linked.as_ref())?, &directly()?)?;
    let turns = take_turns(
        args.rounds as usize,
        [
            &mut || asked(linked.as_ref()).and_then(|_| Ok(device.synchronize()?)),
            &mut || asked(opened.as_ref()).and_then(|_| Ok(device.synchronize()?)),
            &mut || directly().and_then(|_| Ok(device.synchronize()?)),
        ],
    )?;
    report(args, &plugin, &turns, progress);
    Ok(())
}

const LINKED: usize = 0;
const OPENED: usize = 1;
const DIRECT: usize = 2;

fn report(args: &BenchBackendArgs, plugin: &Path, turns: &Turns<3>, progress: &Progress) {
    let (overhead, direct) = (turns.ratio(OPENED, LINKED), turns.ratio(OPENED, DIRECT));
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    let [linked_ms, opened_ms, direct_ms] = turns.medians().map(|seconds| 1e3 * seconds);
    let (threads, device) = (rayon::current_num_threads(), args.device.device.to_string());
    if args.json {
        progress.data(json!({
            "bench": "backend",
            "plugin": plugin,
            "model": args.model,
            "size": args.size,
            "batch": args.batch,
            "classes": args.classes,
            "ms_per_step": opened_ms,
            "ms_linked": linked_ms,
            "ms_direct": direct_ms,
            "overhead_percent": percent(overhead.median),
            "overhead_percent_low": percent(overhead.low),
            "overhead_percent_high": percent(overhead.high),
            "overhead_of_direct_percent": percent(direct.median),
            "overhead_of_direct_percent_low": percent(direct.low),
            "overhead_of_direct_percent_high": percent(direct.high),
            "images_per_second": 1e3 * args.batch as f64 / opened_ms,
            "rounds": args.rounds,
            "threads": threads,
            "device": device,
        }));
        return;
    }
    progress.data(format_args!(
        "backend on {device} with {threads} threads, {} at {} px, batch {}: opened {opened_ms:.3} ms, linked in \
         {linked_ms:.3} ms, without a plugin {direct_ms:.3} ms",
        args.model, args.size, args.batch
    ));
    progress.data(format_args!(
        "opened costs {:+.2} % more than linked in (95 % interval {:+.2} to {:+.2}), {:+.2} % more than no plugin \
         ({:+.2} to {:+.2}); median of {} paired turns",
        percent(overhead.median),
        percent(overhead.low),
        percent(overhead.high),
        percent(direct.median),
        percent(direct.low),
        percent(direct.high),
        args.rounds
    ));
}

/// A comparison of different results would say nothing.
fn agree(opened: &Tensor, linked: &Tensor, direct: &Tensor) -> Result<()> {
    let apart = |other: &Tensor| -> Result<f32> {
        let difference = (opened - other)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        Ok(difference / opened.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?.max(f32::MIN_POSITIVE))
    };
    let (linked, direct) = (apart(linked)?, apart(direct)?);
    if linked == 0.0 && direct < 1e-4 {
        return Ok(());
    }
    Err(Error::failed(format!(
        "the plugin's logits differ from those of the same network linked in by {linked:.1e} and called directly by \
         {direct:.1e}: it is of another build, build all again with `cargo xtask build`"
    )))
}

/// The file named, or the one that was built together with this program.
fn plugin(args: &BenchBackendArgs) -> Result<PathBuf> {
    let name = format!("{}candle_classifier{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let beside = std::env::current_exe()?.with_file_name(&name);
    let candidates = match &args.plugin {
        Some(named) => vec![named.clone()],
        None => vec![beside, Path::new("dist/plugins").join(name)],
    };
    let shown = candidates.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(" or ");
    let found = candidates.into_iter().find(|path| path.is_file());
    let found = found
        .ok_or_else(|| Error::input(format!("no plugin {shown}: `cargo xtask build`, or name it with --plugin")))?;
    Ok(std::path::absolute(found)?)
}

fn teacher(plugin: &Path, weights: &Path) -> PluginPlan {
    PluginPlan {
        plugin: plugin.into(),
        sha256: None,
        allow_unpinned: true,
        weights: Some(weights.into()),
        config: serde_json::Value::Null,
    }
}

/// A checkpoint as `limbeck train classifier` would write it.
fn random_weights(args: &BenchBackendArgs) -> Result<Vec<u8>> {
    let params = Params::from_seed(0, &Device::Cpu);
    build(args, &params)?;
    let entries = [
        ("network", args.model.clone()),
        ("classes", args.classes.to_string()),
        ("channels", CHANNELS.to_string()),
        ("size", args.size.to_string()),
        ("mean", MEAN.to_string()),
        ("std", STD.to_string()),
    ];
    let metadata = BTreeMap::from(entries.map(|(key, value)| (key.to_owned(), value)));
    Ok(checkpoint::to_bytes(&params.state(), &metadata)?)
}

fn direct(args: &BenchBackendArgs, weights: &Path, device: &Device) -> Result<Box<dyn Network>> {
    build(args, &Params::frozen(checkpoint::load(weights)?.tensors, DType::F32, device))
}

fn build(args: &BenchBackendArgs, params: &Params) -> Result<Box<dyn Network>> {
    let network = classifier::build(&args.model, args.classes as usize, CHANNELS, args.size as usize, params);
    network.context(format_args!("network `{}`", args.model))
}

fn images(args: &BenchBackendArgs, device: &Device) -> Result<Tensor> {
    let shape = (args.batch as usize, CHANNELS, args.size as usize, args.size as usize);
    let mut random = rng(0, Purpose::Noise, 0);
    let pixels: Vec<f32> = (0..shape.0 * shape.1 * shape.2 * shape.3).map(|_| random.random()).collect();
    Ok(Tensor::from_vec(pixels, shape, device)?)
}
