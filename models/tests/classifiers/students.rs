//! Networks to be trained: how they start, and that each takes a step.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{D, DType, Device, Tensor, Var};
use limbeck_models::classifier::{Mode, Network, Noise};
use limbeck_models::ops::cpu::without_kernels;
use limbeck_models::optim::{Optimizer, Rule};
use limbeck_models::{Params, classifier};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// Spread and largest magnitude of each tensor that PyTorch draws (`tests/golden/make_inits.py`).
type Drawn = BTreeMap<String, [f64; 2]>;

fn drawn(values: &[f32]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    [variance.sqrt(), values.iter().fold(0f64, |max, &v| max.max(f64::from(v.abs())))]
}

#[test]
fn fresh_parameters_are_drawn_as_pytorch_draws_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/inits.json");
    let golden: BTreeMap<String, Drawn> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(golden.len() >= 12, "{}", golden.len());
    for (network, expected) in golden {
        let params = Params::from_seed(1, &Device::Cpu);
        classifier::build(&network, 1000, 3, classifier::usual_size(&network).unwrap(), &params).unwrap();
        let state = params.state();
        assert_eq!(state.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{network}");
        for (name, [std, most]) in expected {
            let values = state[&name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let (found, count) = (drawn(&values), values.len() as f64);
            let what =
                format!("{network}, `{name}` of {count}: [spread, most] is {found:?}, PyTorch's [{std}, {most}]");
            // Both are samples: five standard errors of each, and more where tails are cut off.
            assert!((found[0] - std).abs() <= std * (7.0 / count.sqrt() + 0.01) + 1e-9, "{what}");
            if std == 0.0 || most / std < 1.8 {
                // Constant or uniform: the bound shows.
                assert!((found[1] - most).abs() <= most * (10.0 / count).min(1.0) + 1e-9, "{what}");
            }
        }
    }
}

/// The mean cross-entropy of a network in training to the classes of four images.
fn loss(network: &dyn Network, size: usize, device: &Device) -> Tensor {
    let pixels = (0..4 * 3 * size * size)
        .map(|i| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * (1.0 + (i / (3 * size * size)) as f32));
    let images = Tensor::from_vec(pixels.collect::<Vec<_>>(), (4, 3, size, size), device).unwrap();
    let labels = Tensor::new(&[0_u32, 1, 2, 3], device).unwrap().unsqueeze(1).unwrap();
    let logits = network.forward(&images, Mode::Training(&Noise::new(ChaCha8Rng::seed_from_u64(1)))).unwrap().logits;
    let sum = logits.exp().unwrap().sum_keepdim(D::Minus1).unwrap().log().unwrap();
    (sum - logits.gather(&labels, 1).unwrap()).unwrap().mean_all().unwrap()
}

/// By how much one step is to lower the loss, by its gradient: little enough that the curvature does not show.
const FALL: f64 = 1e-3;

/// One step of gradient descent on a mean cross-entropy: every parameter gets a finite gradient, and the loss falls by about
/// as much as the gradient says.
fn takes_a_step(network: &str, size: usize) {
    let params = Params::from_seed(3, &Device::Cpu);
    let built = classifier::build(network, 5, 3, size, &params).unwrap();
    let loss = || loss(built.as_ref(), size, &Device::Cpu);
    let first = loss();
    let gradients = first.backward().unwrap();
    let mut squared = 0.0;
    for (name, var) in params.parameters() {
        let gradient = gradients.get(&var).unwrap_or_else(|| panic!("{network}: `{name}` has no gradient"));
        let sum = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(sum.is_finite(), "{network}: the gradient of `{name}` is {sum}");
        squared += f64::from(sum);
    }
    let rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    Optimizer::new(rule, params.parameters()).unwrap().step(&gradients, FALL / squared).unwrap();
    let (first, second) = (first.to_scalar::<f32>().unwrap(), loss().to_scalar::<f32>().unwrap());
    let fall = f64::from(first - second) / FALL;
    assert!(
        (0.5..1.5).contains(&fall),
        "{network}: the loss went from {first} to {second}, {fall} of what was expected"
    );
    for (name, tensor) in params.state() {
        let sum = tensor.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(sum.is_finite(), "{network}: `{name}` is {sum} after a step");
    }
}

/// One of each family and form, on small images.
#[test]
fn every_family_takes_a_step() {
    for (network, size) in [
        ("resnet8x4", 32),
        ("resnet56", 16),
        ("cifar-resnet50", 16),
        ("wrn-40-2", 16),
        ("cifar-vgg19", 16),
        ("resnet50", 64),
        ("mobilenet_v2", 64),
        ("shufflenet_v2_x1_0", 64),
        ("efficientnet_b0", 64),
        ("vit_b_16", 32),
        ("convnext_tiny", 64),
    ] {
        takes_a_step(network, size);
    }
}

/// The loss and the gradient of each parameter.
fn gradients(network: &str, size: usize, device: &Device) -> (f32, BTreeMap<String, Vec<f32>>) {
    let params = Params::from_seed(3, device);
    let loss = loss(classifier::build(network, 5, 3, size, &params).unwrap().as_ref(), size, device);
    let gradients = loss.backward().unwrap();
    let values = |var: &Var| gradients.get(var).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let gradients = params.parameters().into_iter().map(|(name, var)| (name, values(&var))).collect();
    (loss.to_scalar().unwrap(), gradients)
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

/// The step that other devices take, by candle's operations, is that of the CPU's kernels. Normalisations over so few values
/// amplify rounding to percents of a gradient.
#[test]
fn every_family_takes_the_same_step_on_every_device() {
    for (network, size) in [
        ("lenet5", 28),
        ("resnet8x4", 16),
        ("cifar-resnet50", 16),
        ("wrn-16-2", 16),
        ("cifar-vgg8", 16),
        ("resnet18", 64),
        ("mobilenet_v2", 64),
        ("shufflenet_v2_x1_0", 64),
        ("efficientnet_b0", 64),
        ("vit_b_16", 32),
        ("convnext_tiny", 32),
    ] {
        let (expected_loss, expected) = gradients(network, size, &Device::Cpu);
        let whole = norm(expected.values().flatten().copied());
        let agree = |device: &Device| {
            let (loss, found) = gradients(network, size, device);
            assert!((loss - expected_loss).abs() < 1e-3 * expected_loss, "{network}: {loss}, {expected_loss}");
            for (name, expected) in &expected {
                assert_eq!(found[name].len(), expected.len(), "{network}: `{name}`");
                let apart = norm(found[name].iter().zip(expected).map(|(found, expected)| found - expected));
                let most = 0.1 * (norm(expected.iter().copied()) + 1e-3 * whole);
                assert!(apart < most, "{network} on {device:?}: the gradient of `{name}` is {apart} apart, not {most}");
            }
        };
        without_kernels(|| agree(&Device::Cpu));
        limbeck_models::testing::cuda().iter().for_each(agree);
    }
}

#[test]
fn frozen_networks_keep_no_graph_even_of_parameters_in_training() {
    let trained = Params::from_seed(1, &Device::Cpu);
    classifier::build("resnet8", 5, 3, 16, &trained).unwrap();
    let frozen = Params::frozen(trained.state(), candle_core::DType::F32, &Device::Cpu);
    let network = classifier::build("resnet8", 5, 3, 16, &frozen).unwrap();
    let images = Tensor::zeros((2, 3, 16, 16), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(!network.forward(&images, Mode::Evaluation).unwrap().logits.track_op());
}

/// What training leaves out at random follows from its random numbers alone, and there is none in evaluation.
#[test]
fn what_is_left_out_follows_from_the_random_numbers() {
    for (network, size, drops) in [
        ("mobilenet_v2", 32, true),
        ("efficientnet_b0", 32, true),
        ("convnext_tiny", 32, true),
        ("vgg11", 32, true),
        ("shufflenet_v2_x1_0", 32, false),
        ("vit_b_16", 32, false),
    ] {
        let built = classifier::build(network, 5, 3, size, &Params::from_seed(3, &Device::Cpu)).unwrap();
        let images = Tensor::randn(0f32, 1.0, (3, 3, size, size), &Device::Cpu).unwrap();
        let values = |logits: Tensor| logits.to_vec2::<f32>().unwrap();
        let trained = |seed| {
            let noise = Noise::new(ChaCha8Rng::seed_from_u64(seed));
            values(built.forward(&images, Mode::Training(&noise)).unwrap().logits)
        };
        assert_eq!(trained(1), trained(1), "{network}");
        assert_eq!(trained(1) != trained(2), drops, "{network}");
        let judged = || values(built.forward(&images, Mode::Evaluation).unwrap().logits);
        assert_eq!(judged(), judged(), "{network}");
    }
}

/// A frozen network takes another way through its convolutions than one that can be trained.
#[test]
fn frozen_networks_judge_as_trainable_ones_do() {
    for (network, size) in [("resnet18", 64), ("resnet50", 64), ("wrn-16-2", 32), ("resnet8x4", 32), ("cifar-vgg8", 32)]
    {
        let params = Params::from_seed(3, &Device::Cpu);
        let trainable = classifier::build(network, 5, 3, size, &params).unwrap();
        let images = Tensor::randn(0f32, 1.0, (3, 3, size, size), &Device::Cpu).unwrap();
        let noise = Noise::new(ChaCha8Rng::seed_from_u64(0));
        trainable.forward(&images, Mode::Training(&noise)).unwrap();
        let frozen = Params::frozen(params.state(), DType::F32, &Device::Cpu);
        let frozen = classifier::build(network, 5, 3, size, &frozen).unwrap();
        let logits = |network: &dyn Network| {
            network.forward(&images, Mode::Evaluation).unwrap().logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let (found, expected) = (logits(frozen.as_ref()), logits(trainable.as_ref()));
        let most = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
        let apart = found.iter().zip(&expected).all(|(f, e)| (f - e).abs() <= 2e-5 * most);
        assert!(apart, "{network}: {found:?}, {expected:?}");
    }
}
