//! A step of distillation against PyTorch (`tests/golden/make_gradients.py`): the same weights, images and teacher must give the
//! same loss, gradients and running statistics.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use candle_core::{Device, Tensor};
use limbeck_models::checkpoint::{self, Checkpoint};
use limbeck_models::classifier::{Mode, Noise};
use limbeck_models::ops::{kd_loss, linear};
use limbeck_models::{Params, classifier};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::hashed::{images, uniform, weights};

/// Of the loss; and of the norm of each gradient and running statistic, with a thousandth of the largest one's: where
/// a normalisation follows, the gradient of a bias is nothing but rounding. A ReLU passes a gradient on or not, whatever rounding
/// makes of a value beside zero: PyTorch's gradients of such networks are up to 2.2e-2 from its own in another memory format.
const LOSS: f64 = 1e-4;
const SMOOTH: f64 = 1e-3;
const BROKEN: f64 = 3e-2;
const RUNNING: f64 = 1e-5;

const CLASSES: usize = 10;
const IMAGES: usize = 8;

fn golden() -> &'static Checkpoint {
    static GOLDEN: OnceLock<Checkpoint> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/gradients.safetensors");
        checkpoint::load(&path).unwrap()
    })
}

/// How a network is trained here.
struct Case {
    name: &'static str,
    size: usize,
    /// Of the weights.
    gain: f64,
    /// The last layer, where a dropout comes before it: it is applied to the features.
    last: Option<&'static str>,
    /// The probabilities with which blocks leave out an image.
    depths: Vec<f32>,
    /// Of the gradients.
    tolerance: f64,
}

impl Case {
    fn new(name: &'static str, size: usize) -> Self {
        Self { name, size, gain: 1.0, last: None, depths: Vec::new(), tolerance: BROKEN }
    }

    /// Random numbers by which no image is left out. The dropout of the last layer has its own, after them.
    fn noise(&self) -> Noise {
        let keeps = |seed: &u64| {
            let mut random = ChaCha8Rng::seed_from_u64(*seed);
            let asked = self.depths.iter().filter(|&&p| p > 0.0);
            asked.flat_map(|p| std::iter::repeat_n(p, IMAGES)).all(|&p| random.random::<f32>() >= p)
        };
        Noise::new(ChaCha8Rng::seed_from_u64((0..1_000_000).find(keeps).unwrap()))
    }

    fn check(&self) {
        let Self { name, size, gain, .. } = *self;
        let shapes = Params::from_seed(0, &Device::Cpu);
        classifier::build(name, CLASSES, 3, size, &shapes).unwrap();
        let tensors = shapes.state().iter().map(|(key, t)| (key.clone(), weights(key, t.dims(), gain))).collect();
        let params = Params::resume(tensors, &Device::Cpu);
        let network = classifier::build(name, CLASSES, 3, size, &params).unwrap();
        let parameters = params.parameters();
        let output = network.forward(&images(IMAGES, size), Mode::Training(&self.noise())).unwrap();
        let logits = match self.last {
            Some(last) => {
                let of = |part: &str| parameters[&format!("{last}.{part}")].as_tensor();
                linear(&output.features, of("weight"), of("bias")).unwrap()
            }
            None => output.logits,
        };
        let teacher = uniform("teacher", IMAGES * CLASSES).map(|u| 3.0 * u).collect();
        let teacher = Tensor::from_vec(teacher, (IMAGES, CLASSES), &Device::Cpu).unwrap();
        let loss = kd_loss(&logits, &teacher, None, 4.0).unwrap();
        let store = loss.backward().unwrap();
        let gradient = |(key, var): (&String, &candle_core::Var)| {
            let gradient = store.get(var).unwrap_or_else(|| panic!("{name}: `{key}` has no gradient"));
            (key.clone(), gradient.clone())
        };
        let gradients = parameters.iter().map(gradient).collect();
        let running = params.state().into_iter().filter(|(key, _)| key.contains(".running_")).collect();

        let expected = |what: &str| &golden().tensors[&format!("{name}.{what}")];
        let wanted = f64::from(expected("loss").to_vec1::<f32>().unwrap()[0]);
        let loss = (f64::from(loss.to_scalar::<f32>().unwrap()) - wanted).abs() / wanted;
        let (gradients, which) = gap(&gradients, expected("gradients"));
        let (running, _) = gap(&running, expected("running"));
        // With --nocapture, the rows of docs/networks.md.
        println!("| `{name}` | {size} | {loss:.1e} | {gradients:.1e} | {running:.1e} |");
        assert!(loss <= LOSS && running <= RUNNING, "{name}");
        assert!(gradients <= self.tolerance, "{name}: `{which}` has the furthest gradient");
    }
}

/// The largest difference of a norm or element, and the tensor that has it. `expected`: `[tensors, 1 + samples]`.
fn gap(found: &BTreeMap<String, Tensor>, expected: &Tensor) -> (f64, String) {
    let expected = expected.to_vec2::<f32>().unwrap();
    assert_eq!(found.len(), expected.len());
    let most = expected.iter().fold(0f32, |most, row| most.max(row[0]));
    let gaps = found.iter().zip(&expected).map(|((name, tensor), row)| {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let norm = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let samples = row.len() - 1;
        let samples = (0..samples).map(|i| f64::from(values[i * values.len() / samples]));
        let differences = std::iter::once(norm).chain(samples).zip(row).map(|(f, &e)| (f - f64::from(e)).abs());
        let worst = differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst });
        (worst / f64::from(row[0] + 1e-3 * most), name.clone())
    });
    gaps.fold((0.0, String::new()), |worst, gap| if gap.0 > worst.0 || gap.0.is_nan() { gap } else { worst })
}

#[test]
fn cifar_networks() {
    ["resnet8x4", "cifar-resnet50", "wrn-16-2", "cifar-vgg8"].iter().for_each(|name| Case::new(name, 32).check());
}

#[test]
fn resnets() {
    ["resnet18", "resnet50"].iter().for_each(|name| Case::new(name, 64).check());
}

#[test]
fn mobile_networks() {
    Case { last: Some("classifier.1"), ..Case::new("mobilenet_v2", 64) }.check();
    Case::new("shufflenet_v2_x1_0", 64).check();
}

/// All but the first blocks of the stages are residual, of sixteen.
#[test]
fn efficientnet() {
    let depths = [2, 4, 6, 7, 9, 10, 12, 13, 14].map(|block| 0.2 * (block as f32 / 16.0)).to_vec();
    Case { gain: 1.4, last: Some("classifier.1"), depths, tolerance: SMOOTH, ..Case::new("efficientnet_b0", 64) }
        .check();
}

#[test]
fn transformer() {
    Case { tolerance: SMOOTH, ..Case::new("vit_b_16", 32) }.check();
}

#[test]
fn convnext() {
    let depths = (0..18).map(|block| 0.1 * block as f32 / 17.0).collect();
    Case { depths, tolerance: SMOOTH, ..Case::new("convnext_tiny", 64) }.check();
}
