//! Samplers and training loss against diffusers' and PyTorch's numbers (`tests/golden/make_diffusion.py`).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use limbeck::diffusion::guidance::Guided;
use limbeck::diffusion::sampler::{Denoiser, Prediction, Sampler};
use limbeck::diffusion::schedule::Schedule;
use limbeck::diffusion::training_loss::{Batch, hybrid_loss};
use limbeck::plan::NoiseSchedule;
use limbeck_models::checkpoint::{self, Checkpoint};
use limbeck_models::dit::{Dit, DitConfig};
use limbeck_models::{Params, Result as ModelResult};

fn golden() -> Checkpoint {
    checkpoint::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/diffusion.safetensors")).unwrap()
}

/// The largest difference, relative to the largest element.
fn error(found: &Tensor, expected: &Tensor) -> f32 {
    let largest = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    largest(&(found - expected).unwrap()) / largest(expected).max(1e-3)
}

/// Gives the stored predictions one after the other.
struct Stored {
    predictions: Tensor,
    next: Cell<usize>,
}

impl Denoiser for Stored {
    fn predict(&self, _x: &Tensor, _timestep: u32) -> limbeck::Result<Prediction> {
        let both = self.predictions.get(self.next.replace(self.next.get() + 1))?;
        Ok(Prediction {
            epsilon: both.narrow(1, 0, 1)?.contiguous()?,
            variance: Some(both.narrow(1, 1, 1)?.contiguous()?),
        })
    }
}

/// Runs a sampler over the stored predictions and noise, and compares with the stored result.
#[track_caller]
fn check(case: &str, run: impl Fn(&Sampler<'_>, &dyn Denoiser, &mut dyn FnMut() -> limbeck::Result<Tensor>) -> Tensor) {
    let golden = golden();
    let get = |name: &str| golden.tensors[&format!("sampler.{name}")].clone();
    let schedule = Schedule::respaced(NoiseSchedule::Cosine, 1000, 10);
    let sampler = Sampler { schedule: &schedule, clip: true, on_step: &|| {} };
    let (start, noises) = (get("start"), get("noises"));
    let mut drawn = 0;
    let mut draw = || {
        drawn += 1;
        Ok(if drawn == 1 { start.clone() } else { noises.get(drawn - 2)? })
    };
    let found = run(&sampler, &Stored { predictions: get("predictions"), next: Cell::new(0) }, &mut draw);
    let off = error(&found, &get(case));
    assert!(off < 1e-4, "{case}: off by {off}");
}

#[test]
fn ddpm_agrees_with_diffusers() {
    check("ddpm", |sampler, denoiser, draw| sampler.ddpm(denoiser, draw).unwrap());
}

#[test]
fn ddim_agrees_with_diffusers() {
    check("ddim", |sampler, denoiser, draw| sampler.ddim(denoiser, draw, 0.0).unwrap());
}

#[test]
fn ddim_with_noise_agrees_with_diffusers() {
    check("ddim_eta", |sampler, denoiser, draw| sampler.ddim(denoiser, draw, 0.7).unwrap());
}

fn network(golden: &Checkpoint) -> ModelResult<(Dit, Params)> {
    let config: DitConfig = serde_json::from_str(&golden.metadata["config"]).unwrap();
    let strip = |(name, t): (&String, &Tensor)| Some((name.strip_prefix("dit.param.")?.to_owned(), t.clone()));
    let tensors: BTreeMap<_, _> = golden.tensors.iter().filter_map(strip).collect();
    let params = Params::resume(tensors, &Device::Cpu);
    Ok((Dit::new(&config, &params)?, params))
}

#[test]
fn the_hybrid_loss_agrees_with_pytorch() {
    let golden = golden();
    let (net, params) = network(&golden).unwrap();
    let get = |name: &str| golden.tensors[&format!("loss.{name}")].clone();
    let schedule = Schedule::training(NoiseSchedule::Linear, 1000);
    let steps: Vec<usize> = get("t").to_vec1::<i64>().unwrap().iter().map(|&t| t as usize).collect();
    let classes = golden.tensors["dit.y"].to_dtype(DType::U32).unwrap();
    let (images, noise) = (get("x0"), get("noise"));
    let batch = Batch { images: &images, noise: &noise, steps: &steps, classes: &classes };
    let loss = hybrid_loss(&net, &schedule, &batch).unwrap();
    assert!(error(&loss.simple.reshape(1).unwrap(), &get("simple").reshape(1).unwrap()) < 1e-5);
    assert!(error(&loss.bound.reshape(1).unwrap(), &get("bound").reshape(1).unwrap()) < 1e-4);
    let gradients = (&loss.simple + &loss.bound).unwrap().backward().unwrap();
    for name in ["final_layer.linear.weight", "blocks.0.mlp.fc1.weight"] {
        let off = error(gradients.get(&params.parameters()[name]).unwrap(), &get(&format!("grad.{name}")));
        assert!(off < 1e-4, "{name}: off by {off}");
    }
}

#[test]
fn each_image_is_guided_by_its_own_scale() {
    let golden = golden();
    let (net, _) = network(&golden).unwrap();
    let channels = net.config().channels;
    let x = golden.tensors["loss.x0"].clone();
    let classes = golden.tensors["dit.y"].to_dtype(DType::U32).unwrap().to_vec1::<u32>().unwrap();
    let scales: Vec<f64> = (0..classes.len()).map(|row| 1.0 + 1.5 * row as f64).collect();
    let guided = |scales: Vec<f64>| {
        let denoiser = Guided::with_scales(&net, classes.clone(), scales, channels);
        denoiser.predict(&x, 500).unwrap().epsilon
    };
    let mixed = guided(scales.clone());
    for (row, &scale) in scales.iter().enumerate() {
        let alone = guided(vec![scale; scales.len()]);
        let off = error(&mixed.get(row).unwrap(), &alone.get(row).unwrap());
        assert!(off < 1e-5, "image {row} with scale {scale}: off by {off}");
    }
}

/// Clamped, NaN and infinities would be an image.
#[test]
fn noise_that_is_not_finite_ends_the_drawing_with_its_step() {
    let golden = golden();
    let schedule = Schedule::respaced(NoiseSchedule::Cosine, 1000, 10);
    let sampler = Sampler { schedule: &schedule, clip: true, on_step: &|| {} };
    let predictions = &golden.tensors["sampler.predictions"];
    let image = predictions.elem_count() / 10;
    for (at, bad, what) in [(3 * image + 1, f32::NAN, "noise"), (4 * image - 1, f32::INFINITY, "variance")] {
        let mut values = predictions.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values[at] = bad;
        let spoilt = Tensor::from_vec(values, predictions.shape(), &Device::Cpu).unwrap();
        let stored = || Stored { predictions: spoilt.clone(), next: Cell::new(0) };
        let mut start = || Ok(golden.tensors["sampler.start"].clone());
        let says = |result: limbeck::Result<Tensor>| result.unwrap_err().to_string();
        for message in [says(sampler.ddpm(&stored(), &mut start)), says(sampler.ddim(&stored(), &mut start, 0.0))] {
            let timestep = schedule.steps[6].timestep;
            let expected = format!("step 4 of 10, timestep {timestep}: the {what} that it predicts holds {bad}: ");
            assert!(message.starts_with(&expected) && message.ends_with("name another generator"), "{message}");
        }
    }
}
