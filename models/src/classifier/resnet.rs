//! Residual networks of basic blocks: torchvision's ResNet-18/34, and the CIFAR family of three stages.

use candle_core::Tensor;

use super::flow::{self, Flow, Layers};
use super::layers::{BatchNorm, Conv, Linear, Window};
use super::{Network, Output, Shape};
use crate::ops::{global_avg_pool, max_pool2d};
use crate::{Params, Result};

/// What distinguishes one residual network from another.
pub(super) struct Plan {
    stem: Window,
    /// A 3×3 max-pool of stride 2 after the stem.
    pool: bool,
    stem_width: usize,
    /// Blocks and width of each stage; every stage after the first halves the image.
    stages: Vec<(usize, usize)>,
}

/// torchvision's networks. Below 64 px they take the CIFAR form: 3×3 stem of stride 1, no max-pool.
pub(super) fn torchvision(blocks: [usize; 4], size: usize) -> Plan {
    let large = size >= 64;
    Plan {
        stem: if large { Window { kernel: 7, stride: 2, padding: 3 } } else { Window::three(1) },
        pool: large,
        stem_width: 64,
        stages: blocks.into_iter().zip([64, 128, 256, 512]).collect(),
    }
}

/// The CIFAR family of depth `6 · blocks + 2`; the reference width is 16.
pub(super) fn cifar(blocks: usize, width: usize) -> Plan {
    let stages = [width, 2 * width, 4 * width].map(|width| (blocks, width)).to_vec();
    Plan { stem: Window::three(1), pool: false, stem_width: width, stages }
}

pub(super) struct ResNet {
    stem: Stem,
    pool: bool,
    blocks: Vec<Block>,
    fc: Linear,
}

impl ResNet {
    pub fn new(shape: Shape, plan: &Plan, params: &Params) -> Result<Self> {
        let conv1 = Conv::residual(shape.channels, plan.stem_width, plan.stem, &params.at("conv1"))?;
        let bn1 = BatchNorm::new(plan.stem_width, &params.at("bn1"))?;
        let (mut blocks, mut inputs) = (Vec::new(), plan.stem_width);
        for (stage, &(count, width)) in plan.stages.iter().enumerate() {
            let params = params.at(format!("layer{}", stage + 1));
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                blocks.push(Block::new(inputs, width, stride, &params.at(i))?);
                inputs = width;
            }
        }
        let stem = Stem { conv1, bn1 };
        Ok(Self { stem, pool: plan.pool, blocks, fc: Linear::new(inputs, shape.classes, &params.at("fc"))? })
    }
}

impl Network for ResNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Output> {
        let x = if self.pool {
            flow::run(&self.blocks, &max_pool2d(&flow::run(&self.stem, x, train)?, 3, 2, 1)?, train)?
        } else {
            flow::run(&(&self.stem, &self.blocks), x, train)?
        };
        let features = global_avg_pool(&x)?; // [n, width]
        Ok(Output { logits: self.fc.forward(&features)?, features })
    }
}

/// conv-bn-relu.
struct Stem {
    conv1: Conv,
    bn1: BatchNorm,
}

impl Layers for Stem {
    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        flow.conv_norm((&self.conv1, &self.bn1), &x, None, true)
    }
}

/// conv-bn-relu-conv-bn, added to the (projected) input, relu.
struct Block {
    conv1: Conv,
    bn1: BatchNorm,
    conv2: Conv,
    bn2: BatchNorm,
    downsample: Option<(Conv, BatchNorm)>,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, params: &Params) -> Result<Self> {
        let downsample = if stride == 1 && inputs == outputs {
            None
        } else {
            let params = params.at("downsample");
            let conv = Conv::residual(inputs, outputs, Window::one(stride), &params.at(0))?;
            Some((conv, BatchNorm::new(outputs, &params.at(1))?))
        };
        Ok(Self {
            conv1: Conv::residual(inputs, outputs, Window::three(stride), &params.at("conv1"))?,
            bn1: BatchNorm::new(outputs, &params.at("bn1"))?,
            conv2: Conv::residual(outputs, outputs, Window::three(1), &params.at("conv2"))?,
            bn2: BatchNorm::new(outputs, &params.at("bn2"))?,
            downsample,
        })
    }
}

impl Layers for Block {
    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        let skip = match &self.downsample {
            None => x.clone(),
            Some((conv, bn)) => flow.conv_norm((conv, bn), &x, None, false)?,
        };
        let inner = flow.conv_norm((&self.conv1, &self.bn1), &x, None, true)?;
        flow.conv_norm((&self.conv2, &self.bn2), &inner, Some(&skip), true)
    }
}
