//! Networks of inverted residual blocks, of torchvision's form and names: MobileNetV2 (Sandler et al., arXiv 1801.04381) and
//! EfficientNet-B0 (Tan & Le, arXiv 1905.11946).

use candle_core::Tensor;

use super::conv::{Conv, ConvNorm, Window};
use super::layers::{BatchNorm, Linear};
use super::{Mode, Network, Output, Shape};
use crate::ops::{Activation, Images, Inference, global_avg_pool, scale_channels, sigmoid, silu};
use crate::{Init, Params, Result};

/// Blocks of one width.
struct Stage {
    expansion: usize,
    /// Of the depthwise convolution; the stride is that of the first block.
    kernel: usize,
    stride: usize,
    outputs: usize,
    blocks: usize,
}

const fn stage(expansion: usize, kernel: usize, stride: usize, outputs: usize, blocks: usize) -> Stage {
    Stage { expansion, kernel, stride, outputs, blocks }
}

const MOBILENET_V2: [Stage; 7] = [
    stage(1, 3, 1, 16, 1),
    stage(6, 3, 2, 24, 2),
    stage(6, 3, 2, 32, 3),
    stage(6, 3, 2, 64, 4),
    stage(6, 3, 1, 96, 3),
    stage(6, 3, 2, 160, 3),
    stage(6, 3, 1, 320, 1),
];

const EFFICIENTNET_B0: [Stage; 7] = [
    stage(1, 3, 1, 16, 1),
    stage(6, 3, 2, 24, 2),
    stage(6, 5, 2, 40, 2),
    stage(6, 3, 2, 80, 3),
    stage(6, 5, 1, 112, 3),
    stage(6, 5, 2, 192, 4),
    stage(6, 3, 1, 320, 1),
];

/// Channels of the stem and of the features.
const STEM: usize = 32;
const FEATURES: usize = 1280;

/// Dropped before the classifier in training; and the probability with which EfficientNet's last block would be left out,
/// which grows linearly from the first.
const DROPOUT: f32 = 0.2;
const STOCHASTIC_DEPTH: f32 = 0.2;

/// Which of the two.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    MobileNetV2,
    /// With squeeze and excitation in each block, SiLU and stochastic depth.
    EfficientNetB0,
}

impl Form {
    fn stages(self) -> &'static [Stage] {
        match self {
            Self::MobileNetV2 => &MOBILENET_V2,
            Self::EfficientNetB0 => &EFFICIENTNET_B0,
        }
    }

    fn activation(self) -> Activation {
        match self {
            Self::MobileNetV2 => Activation::Relu6,
            Self::EfficientNetB0 => Activation::Silu,
        }
    }
}

pub(super) struct Mobile {
    stem: ConvNorm,
    blocks: Vec<Block>,
    last: ConvNorm,
    classifier: Linear,
}

impl Mobile {
    pub fn new(shape: Shape, form: Form, params: &Params) -> Result<Self> {
        let features = params.at("features");
        let stem = unit(shape.channels, STEM, Window::three(2), form.activation(), &features.at(0))?;
        let (mut blocks, mut inputs) = (Vec::new(), STEM);
        let count: usize = form.stages().iter().map(|stage| stage.blocks).sum();
        for (number, stage) in (1..).zip(form.stages()) {
            for i in 0..stage.blocks {
                let window = Window::same(stage.kernel, if i == 0 { stage.stride } else { 1 });
                let sizes = (inputs, inputs * stage.expansion, stage.outputs);
                // One counts the blocks, the other stages and the blocks in them.
                let (params, left_out) = match form {
                    Form::MobileNetV2 => (features.at(blocks.len() + 1).at("conv"), 0.0),
                    Form::EfficientNetB0 => {
                        let depth = blocks.len() as f32 / count as f32;
                        (features.at(number).at(i).at("block"), STOCHASTIC_DEPTH * depth)
                    }
                };
                blocks.push(Block::new(form, sizes, window, left_out, &params)?);
                inputs = stage.outputs;
            }
        }
        let (at, init) = match form {
            Form::MobileNetV2 => (count + 1, Init::Normal(0.01)),
            Form::EfficientNetB0 => (form.stages().len() + 1, Init::Uniform(1.0 / (shape.classes as f32).sqrt())),
        };
        let last = unit(inputs, FEATURES, Window::one(1), form.activation(), &features.at(at))?;
        let init = (init, Init::Const(0.0));
        let classifier = Linear::initialised(FEATURES, shape.classes, init, &params.at("classifier").at(1))?;
        Ok(Self { stem, blocks, last, classifier })
    }
}

impl Mobile {
    fn through<S: Steps>(&self, steps: &S, x: S::Images) -> Result<S::Images> {
        let stem = steps.layer(&self.stem, &x)?;
        let x = self.blocks.iter().try_fold(stem, |x, block| block.through(steps, x))?;
        steps.layer(&self.last, &x)
    }
}

impl Network for Mobile {
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let last = if !mode.trains() && Inference::suits(x) && !self.stem.is_tracked() {
            let pass = Inference::default();
            let y = self.through(&pass, pass.begin(x)?)?;
            pass.finish(y)?
        } else {
            self.through(&mode, x.clone())?
        };
        let features = global_avg_pool(&last)?; // [n, 1280]
        Ok(Output { logits: self.classifier.forward(&mode.dropout(&features, DROPOUT)?)?, features })
    }
}

/// Convolution `0`, normalisation `1`, activation.
fn unit(inputs: usize, outputs: usize, window: Window, activation: Activation, params: &Params) -> Result<ConvNorm> {
    let conv = Conv::residual(inputs, outputs, window, &params.at(0))?;
    Ok(ConvNorm::new(conv, BatchNorm::new(outputs, &params.at(1))?, activation))
}

/// 1×1 expansion (absent where nothing is expanded), depthwise convolution, excitation, 1×1 projection without an activation.
struct Block {
    inner: Vec<ConvNorm>,
    excitation: Option<Excitation>,
    project: ConvNorm,
    residual: bool,
    /// The probability of an image to pass by in training.
    left_out: f32,
}

impl Block {
    fn new(
        form: Form,
        (inputs, hidden, outputs): (usize, usize, usize),
        window: Window,
        left_out: f32,
        params: &Params,
    ) -> Result<Self> {
        let activation = form.activation();
        let mut inner = Vec::new();
        if hidden > inputs {
            inner.push(unit(inputs, hidden, Window::one(1), activation, &params.at(0))?);
        }
        inner.push(unit(hidden, hidden, window.depthwise(hidden), activation, &params.at(inner.len()))?);
        let next = inner.len();
        let (excitation, [conv, norm]) = match form {
            Form::MobileNetV2 => (None, [params.at(next), params.at(next + 1)]),
            Form::EfficientNetB0 => {
                let project = params.at(next + 1);
                (Some(Excitation::new(hidden, inputs / 4, &params.at(next))?), [project.at(0), project.at(1)])
            }
        };
        let conv = Conv::residual(hidden, outputs, Window::one(1), &conv)?;
        let project = ConvNorm::new(conv, BatchNorm::new(outputs, &norm)?, Activation::None);
        Ok(Self { inner, excitation, project, residual: window.stride == 1 && inputs == outputs, left_out })
    }

    fn through<S: Steps>(&self, steps: &S, x: S::Images) -> Result<S::Images> {
        let mut y = x.clone();
        for layer in &self.inner {
            y = steps.layer(layer, &y)?;
        }
        if let Some(excitation) = &self.excitation {
            y = steps.excite(excitation, y)?;
        }
        if self.residual {
            steps.layer_onto(&self.project, &y, &x, self.left_out)
        } else {
            steps.layer(&self.project, &y)
        }
    }
}

/// How the layers are applied: one by one, or in a pass where nothing is trained.
trait Steps {
    type Images: Clone;

    fn layer(&self, layer: &ConvNorm, x: &Self::Images) -> Result<Self::Images>;

    /// `layer(x) + onto`; in training images pass the layer by with the probability `left_out`.
    fn layer_onto(
        &self,
        layer: &ConvNorm,
        x: &Self::Images,
        onto: &Self::Images,
        left_out: f32,
    ) -> Result<Self::Images>;

    fn excite(&self, excitation: &Excitation, x: Self::Images) -> Result<Self::Images>;
}

impl Steps for Mode<'_> {
    type Images = Tensor;

    fn layer(&self, layer: &ConvNorm, x: &Tensor) -> Result<Tensor> {
        layer.forward(x, self.trains())
    }

    fn layer_onto(&self, layer: &ConvNorm, x: &Tensor, onto: &Tensor, left_out: f32) -> Result<Tensor> {
        if self.trains() && left_out > 0.0 {
            return Ok((self.drop_images(&layer.forward(x, true)?, left_out)? + onto)?);
        }
        layer.forward_onto(x, onto, self.trains())
    }

    fn excite(&self, excitation: &Excitation, x: Tensor) -> Result<Tensor> {
        Ok(scale_channels(&x, &excitation.scales(&global_avg_pool(&x)?)?)?)
    }
}

impl Steps for Inference {
    type Images = Images;

    fn layer(&self, layer: &ConvNorm, x: &Images) -> Result<Images> {
        layer.infer(self, x, None)
    }

    fn layer_onto(&self, layer: &ConvNorm, x: &Images, onto: &Images, _: f32) -> Result<Images> {
        layer.infer(self, x, Some(onto))
    }

    fn excite(&self, excitation: &Excitation, x: Images) -> Result<Images> {
        let scales = excitation.scales(&x.means()?)?;
        Ok(self.scale(x, &scales)?)
    }
}

/// Every channel is scaled by what two layers make of the means of all channels.
struct Excitation {
    fc1: Conv,
    fc2: Conv,
}

impl Excitation {
    fn new(channels: usize, squeezed: usize, params: &Params) -> Result<Self> {
        let window = Window::one(1);
        Ok(Self {
            fc1: Conv::he_with_bias(channels, squeezed, window, &params.at("fc1"))?,
            fc2: Conv::he_with_bias(squeezed, channels, window, &params.at("fc2"))?,
        })
    }

    /// `[n, channels]`, from the means of the channels.
    fn scales(&self, means: &Tensor) -> Result<Tensor> {
        let (n, channels) = means.dims2()?;
        let means = means.reshape((n, channels, 1, 1))?;
        Ok(sigmoid(&self.fc2.forward(&silu(&self.fc1.forward(&means)?)?)?)?.reshape((n, channels))?)
    }
}
