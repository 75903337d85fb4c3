//! Optimisers, schedules, clipping, accumulation and averages against PyTorch's (`tests/golden/make_optim.py`).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use limbeck_models::checkpoint;
use limbeck_models::ops::cpu::without_kernels;
use limbeck_models::optim::{Optimizer, Rule, Schedule, Settings, Updater, gradient_norm};

const STEPS: usize = 24;
const LR: f64 = 0.1;

/// Of parameters, relative to the largest; f32 on both sides.
const TOLERANCE: f32 = 1e-5;

fn golden() -> BTreeMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/optim.safetensors");
    checkpoint::load(&path).unwrap().tensors
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (f, e) in found.iter().zip(&expected) {
        assert!((f - e).abs() <= TOLERANCE * scale, "{what}: {f}, PyTorch has {e}");
    }
}

/// Gradients of these parameters, as a backward pass gives them.
fn gradients(parameters: &BTreeMap<String, Var>, of: impl Fn(&str) -> Tensor) -> GradStore {
    let dots = parameters.iter().map(|(name, var)| (var.as_tensor() * of(name)).unwrap().sum_all().unwrap());
    dots.reduce(|a, b| (a + b).unwrap()).unwrap().backward().unwrap()
}

fn start(golden: &BTreeMap<String, Tensor>, device: &Device) -> BTreeMap<String, Var> {
    let var = |name: &str| Var::from_tensor(&golden[&format!("start.{name}")].to_device(device).unwrap()).unwrap();
    ["w", "b"].map(|name| (name.to_owned(), var(name))).into()
}

fn rule(name: &str) -> Rule {
    match name {
        "sgd" => Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        "momentum" => Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.05 },
        "nesterov" => Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.05 },
        _ => Rule::adamw(0.1),
    }
}

fn plain(rule: Rule) -> Settings {
    Settings { rule, clip_norm: None, accumulate: 1, ema: None }
}

/// On the CPU with its kernels and without, and on the first CUDA device where there is one.
fn agrees(case: &str, settings: Settings, schedule: &Schedule, warmup: u64) {
    agrees_on(&Device::Cpu, case, settings, schedule, warmup);
    without_kernels(|| agrees_on(&Device::Cpu, case, settings, schedule, warmup));
    limbeck_models::testing::cuda().iter().for_each(|device| agrees_on(device, case, settings, schedule, warmup));
}

/// Does all steps of a case, at each with a fresh updater that goes on from the state of the one before.
fn agrees_on(device: &Device, case: &str, settings: Settings, schedule: &Schedule, warmup: u64) {
    let golden = golden();
    let parameters = start(&golden, device);
    let mut updater = Updater::new(settings, parameters.clone(), BTreeMap::new()).unwrap();
    let rates = values(&golden[&format!("{case}.lr")]);
    assert_eq!(rates.len(), STEPS);
    for (step, &rate) in rates.iter().enumerate() {
        let lr = LR * schedule.factor(step as u64, STEPS as u64, warmup);
        assert!((lr - f64::from(rate)).abs() <= 1e-6 * LR, "{case} step {step}: {lr}, PyTorch {rate}");
        let of = |name: &str| golden[&format!("gradient.{name}")].get(step).unwrap().to_device(device).unwrap();
        updater.step(gradients(&parameters, of), lr).unwrap();
        let state = updater.state().unwrap();
        updater = Updater::new(settings, parameters.clone(), BTreeMap::new()).unwrap();
        updater.restore(&state).unwrap();
        for (name, var) in &parameters {
            let found = updater.averages().map_or(var.as_tensor().clone(), |averages| averages[name].clone());
            assert_close(
                &format!("{case}.{name} step {step}"),
                &found,
                &golden[&format!("{case}.{name}")].get(step).unwrap(),
            );
        }
    }
}

#[test]
fn rules_agree() {
    for name in ["sgd", "momentum", "nesterov", "adamw"] {
        agrees(&format!("rule-{name}"), plain(rule(name)), &Schedule::Constant, 0);
    }
}

#[test]
fn schedules_agree_with_and_without_warmup() {
    let step = Schedule::Step { milestones: vec![8.0 / 24.0, 16.0 / 24.0], gamma: 0.5 };
    for (name, schedule, warmup) in [
        ("constant", &Schedule::Constant, 0),
        ("cosine", &Schedule::Cosine, 0),
        ("step", &step, 0),
        ("warm-cosine", &Schedule::Cosine, 6),
        ("warm-step", &step, 6),
    ] {
        agrees(&format!("schedule-{name}"), plain(rule("nesterov")), schedule, warmup);
    }
}

#[test]
fn clipping_accumulation_and_averages_agree() {
    let clip = Settings { clip_norm: Some(2.0), ..plain(rule("adamw")) };
    agrees("clip", clip, &Schedule::Constant, 0);
    let accumulate = Settings { accumulate: 3, clip_norm: Some(2.0), ..plain(rule("momentum")) };
    agrees("accumulate", accumulate, &Schedule::Constant, 0);
    agrees("ema", Settings { ema: Some(0.8), ..plain(rule("adamw")) }, &Schedule::Cosine, 0);
}

/// Parameters that are shared out between threads in pieces end as those that are not.
#[test]
fn pieces_make_no_difference() {
    const SIZE: usize = 100_003;
    let wave = |phase: f32| (0..SIZE).map(|i| (i as f32 * 0.1 + phase).sin()).collect::<Vec<_>>();
    for name in ["nesterov", "adamw"] {
        let part = 1000..1010;
        let run = |range: std::ops::Range<usize>| {
            let tensor = |phase| Tensor::new(&wave(phase)[range.clone()], &Device::Cpu).unwrap();
            let parameters = BTreeMap::from([("p".to_owned(), Var::from_tensor(&tensor(0.0)).unwrap())]);
            let mut optimizer = Optimizer::new(rule(name), parameters.clone()).unwrap();
            for step in 1..4 {
                optimizer.step(&gradients(&parameters, |_| tensor(step as f32)), 0.1).unwrap();
            }
            values(&parameters["p"])
        };
        assert_eq!(run(0..SIZE)[part.clone()], run(part), "{name}");
    }
}

#[test]
fn the_norm_is_of_all_gradients() {
    let parameters = start(&golden(), &Device::Cpu);
    let of = |name: &str| Tensor::full(if name == "w" { 1.0f32 } else { 2.0 }, parameters[name].shape(), &Device::Cpu);
    let norm = gradient_norm(&gradients(&parameters, |name| of(name).unwrap()), &parameters).unwrap();
    assert!((norm - (12.0f64 + 4.0 * 5.0).sqrt()).abs() < 1e-6, "{norm}");
}

#[test]
fn the_state_of_other_parameters_is_refused() {
    let parameters = start(&golden(), &Device::Cpu);
    let mut updater = Updater::new(plain(rule("adamw")), parameters.clone(), BTreeMap::new()).unwrap();
    let state = Updater::new(plain(rule("sgd")), parameters, BTreeMap::new()).unwrap().state().unwrap();
    let error = updater.restore(&state).unwrap_err().to_string();
    assert!(error.contains("has shape [1, 5]"), "{error}");
}
