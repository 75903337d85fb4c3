//! One step of distillation with random weights and images: the teacher's forward pass, the student's both ways, SGD.

use candle_core::{DType, Device, Tensor};
use limbeck_models::classifier::{self, Mode, Network, Noise};
use limbeck_models::optim::{Optimizer, Rule};
use limbeck_models::{Params, ops};
use rand::Rng as _;
use rand_distr::StandardNormal;

use crate::seed::{Purpose, rng};
use crate::{Context as _, Result};

/// What is distilled.
#[derive(Clone, Debug)]
pub struct Sizes {
    pub teacher: String,
    pub student: String,
    pub batch: usize,
    /// Height and width of the images in pixels; they have three channels.
    pub image_size: usize,
    pub classes: usize,
}

/// The same work as the reference in PyTorch: KL at temperature 4, SGD with momentum 0.9, weight decay 5e-4, rate 0.05.
pub struct Step {
    teacher: Box<dyn Network>,
    student: Box<dyn Network>,
    optimizer: Optimizer,
    images: Tensor,
}

impl Step {
    /// Fails on an unknown network, and on one that doesn't take images of this size.
    pub fn new(sizes: &Sizes, device: &Device) -> Result<Self> {
        let build = |name: &str, params: &Params| {
            classifier::build(name, sizes.classes, 3, sizes.image_size, params)
                .context(format_args!("network `{name}`"))
        };
        let random = Params::from_seed(0, device);
        build(&sizes.teacher, &random)?;
        let teacher = build(&sizes.teacher, &Params::frozen(random.state(), DType::F32, device))?;
        let params = Params::from_seed(1, device);
        let student = build(&sizes.student, &params)?;
        let rule = Rule::Sgd { momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
        let shape = (sizes.batch, 3, sizes.image_size, sizes.image_size);
        let mut random = rng(0, Purpose::Noise, 0);
        let pixels = (0..shape.0 * 3 * shape.2 * shape.3).map(|_| random.sample(StandardNormal));
        let images = Tensor::from_vec(pixels.collect::<Vec<f32>>(), shape, device)?;
        Ok(Self { teacher, student, optimizer: Optimizer::new(rule, params.parameters())?, images })
    }

    /// One step; returns its loss.
    pub fn run(&mut self) -> Result<f32> {
        let target = self.teacher.forward(&self.images, Mode::Evaluation)?.logits;
        let noise = Noise::new(rng(0, Purpose::Dropout, 0));
        let logits = self.student.forward(&self.images, Mode::Training(&noise))?.logits;
        let loss = ops::kd_loss(&logits, &target, None, 4.0)?;
        self.optimizer.step(&loss.backward()?, 0.05)?;
        Ok(loss.to_scalar()?)
    }
}
