//! ConvNeXt-Tiny (Liu et al., arXiv 2201.03545), of torchvision's form and names.

use candle_core::Tensor;

use super::conv::{Conv, Window};
use super::layers::{LayerNorm, Linear};
use super::{Mode, Network, Output, Shape};
use crate::ops::{gelu_erf, global_avg_pool};
use crate::{Init, Params, Result};

/// Width and blocks of each stage.
const STAGES: [(usize, usize); 4] = [(96, 3), (192, 3), (384, 9), (768, 3)];

const WEIGHT: Init = Init::Normal(0.02);
const ZERO: Init = Init::Const(0.0);

/// Where the scale of each block's result starts.
const LAYER_SCALE: Init = Init::Const(1e-6);

/// The probability with which the last block is left out in training; it grows linearly from 0 for the first.
const STOCHASTIC_DEPTH: f32 = 0.1;

/// That of block number `block`.
fn left_out(block: usize) -> f32 {
    let count: usize = STAGES.iter().map(|(_, count)| count).sum();
    STOCHASTIC_DEPTH * block as f32 / (count - 1) as f32
}

pub(super) struct ConvNext {
    stem: Conv,
    stem_norm: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
    head: Linear,
}

/// Blocks of one width, after the step down from the stage before.
struct Stage {
    down: Option<(LayerNorm, Conv)>,
    blocks: Vec<Block>,
}

impl ConvNext {
    pub fn new(shape: Shape, params: &Params) -> Result<Self> {
        let features = params.at("features");
        let conv = |inputs, outputs, window, params: Params| {
            Conv::initialised(inputs, outputs, window, (WEIGHT, Some(ZERO)), &params)
        };
        let first = STAGES[0].0;
        let stem = conv(shape.channels, first, Window::valid(4, 4), features.at(0).at(0))?;
        let stem_norm = LayerNorm::new(first, &features.at(0).at(1))?;
        let (mut stages, mut inputs) = (Vec::new(), first);
        for (stage, (width, count)) in STAGES.into_iter().enumerate() {
            let down = if stage == 0 {
                None
            } else {
                let params = features.at(2 * stage);
                let norm = LayerNorm::new(inputs, &params.at(0))?;
                Some((norm, conv(inputs, width, Window::valid(2, 2), params.at(1))?))
            };
            let block = |i| {
                let before: usize = STAGES[..stage].iter().map(|(_, count)| count).sum();
                Block::new(width, left_out(before + i), &features.at(2 * stage + 1).at(i))
            };
            stages.push(Stage { down, blocks: (0..count).map(block).collect::<Result<_>>()? });
            inputs = width;
        }
        let classifier = params.at("classifier");
        let norm = LayerNorm::new(inputs, &classifier.at(0))?;
        let head = Linear::initialised(inputs, shape.classes, (WEIGHT, ZERO), &classifier.at(2))?;
        Ok(Self { stem, stem_norm, stages, norm, head })
    }
}

impl Network for ConvNext {
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let mut x = self.stem_norm.forward_images(&self.stem.forward(x)?)?;
        for stage in &self.stages {
            if let Some((norm, conv)) = &stage.down {
                x = conv.forward(&norm.forward_images(&x)?)?;
            }
            for block in &stage.blocks {
                x = block.forward(&x, mode)?;
            }
        }
        let features = self.norm.forward(&global_avg_pool(&x)?)?; // [n, 768]
        Ok(Output { logits: self.head.forward(&features)?, features })
    }
}

/// 7×7 depthwise convolution, then a perceptron over the channels, scaled and added to the input.
struct Block {
    depthwise: Conv,
    norm: LayerNorm,
    mlp: [Linear; 2],
    scale: Tensor,
    /// The probability of an image to pass by in training.
    left_out: f32,
}

impl Block {
    fn new(width: usize, left_out: f32, params: &Params) -> Result<Self> {
        let inner = params.at("block");
        let window = Window::same(7, 1).depthwise(width);
        Ok(Self {
            depthwise: Conv::initialised(width, width, window, (WEIGHT, Some(ZERO)), &inner.at(0))?,
            norm: LayerNorm::new(width, &inner.at(2))?,
            mlp: [
                Linear::initialised(width, 4 * width, (WEIGHT, ZERO), &inner.at(3))?,
                Linear::initialised(4 * width, width, (WEIGHT, ZERO), &inner.at(5))?,
            ],
            scale: params.param("layer_scale", (width, 1, 1), LAYER_SCALE)?,
            left_out,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Tensor> {
        let y = self.depthwise.forward(x)?.permute((0, 2, 3, 1))?; // [n, h, w, width]
        let y = gelu_erf(&self.mlp[0].forward(&self.norm.forward(&y)?)?)?; // [n, h, w, 4 · width]
        let y = self.mlp[1].forward(&y)?.broadcast_mul(&self.scale.flatten_all()?)?;
        Ok((x + mode.drop_images(&y, self.left_out)?.permute((0, 3, 1, 2))?)?)
    }
}
