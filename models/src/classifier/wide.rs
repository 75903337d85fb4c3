//! Wide residual networks for CIFAR: pre-activation blocks in three stages of widths 16k, 32k, 64k.
//!
//! Names and order of operations follow the reference used by the distillation papers (`conv1`, `block1.layer.0.bn1`, …,
//! `convShortcut`, `bn1`, `fc`).

use candle_core::Tensor;

use super::conv::{Conv, Window};
use super::flow::{self, Flow, Layers};
use super::layers::{BatchNorm, Linear};
use super::{Mode, Network, Output, Shape};
use crate::ops::global_avg_pool;
use crate::{Params, Result};

pub(super) struct WideResNet {
    conv1: Conv,
    blocks: Vec<Block>,
    bn1: BatchNorm,
    fc: Linear,
}

impl WideResNet {
    /// `depth` is 6n + 4 for n blocks a stage.
    pub fn new(shape: Shape, depth: usize, widen: usize, params: &Params) -> Result<Self> {
        let conv1 = Conv::residual(shape.channels, 16, Window::three(1), &params.at("conv1"))?;
        let (mut blocks, mut inputs) = (Vec::new(), 16);
        for stage in 0..3 {
            let (width, params) = ((16 * widen) << stage, params.at(format!("block{}", stage + 1)).at("layer"));
            for i in 0..(depth - 4) / 6 {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                blocks.push(Block::new(inputs, width, stride, &params.at(i))?);
                inputs = width;
            }
        }
        let bn1 = BatchNorm::new(inputs, &params.at("bn1"))?;
        Ok(Self { conv1, blocks, bn1, fc: Linear::zero_bias(inputs, shape.classes, &params.at("fc"))? })
    }
}

impl Network for WideResNet {
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let train = mode.trains();
        let features = global_avg_pool(&flow::run(self, x, train)?)?; // [n, 64k]
        Ok(Output { logits: self.fc.forward(&features)?, features })
    }
}

impl Layers for WideResNet {
    fn is_tracked(&self) -> bool {
        self.conv1.is_tracked()
    }

    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        let x = flow.conv(&self.conv1, &x, None)?;
        let x = self.blocks.through(flow, x)?;
        flow.norm(&self.bn1, &x, true)
    }
}

/// bn-relu-conv twice; where the width changes, the activated input goes through a 1×1 projection.
struct Block {
    bn1: BatchNorm,
    conv1: Conv,
    bn2: BatchNorm,
    conv2: Conv,
    project: Option<Conv>,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, params: &Params) -> Result<Self> {
        let project = if inputs == outputs {
            None
        } else {
            Some(Conv::residual(inputs, outputs, Window::one(stride), &params.at("convShortcut"))?)
        };
        Ok(Self {
            bn1: BatchNorm::new(inputs, &params.at("bn1"))?,
            conv1: Conv::residual(inputs, outputs, Window::three(stride), &params.at("conv1"))?,
            bn2: BatchNorm::new(outputs, &params.at("bn2"))?,
            conv2: Conv::residual(outputs, outputs, Window::three(1), &params.at("conv2"))?,
            project,
        })
    }
}

impl Layers for Block {
    fn is_tracked(&self) -> bool {
        self.conv1.is_tracked()
    }

    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        let active = flow.norm(&self.bn1, &x, true)?;
        let skip = match &self.project {
            None => x,
            Some(project) => flow.conv(project, &active, None)?,
        };
        let inner = flow.conv_norm((&self.conv1, &self.bn2), &active, None, true)?;
        flow.conv(&self.conv2, &inner, Some(&skip))
    }
}
