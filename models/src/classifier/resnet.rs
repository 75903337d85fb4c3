//! Residual networks: torchvision's (ResNet-18 to 101, wide ResNet-50-2), the CIFAR family of three stages (CRD's
//! `resnet8` to `resnet110`, `resnet8x4`, `resnet32x4`), and ResNet-18/34/50 in the four-stage CIFAR form.

use candle_core::Tensor;

use super::conv::{Conv, Window};
use super::flow::{self, Flow, Layers};
use super::layers::{BatchNorm, Linear};
use super::{Mode, Network, Output, Shape};
use crate::ops::global_avg_pool;
use crate::{Params, Result};

/// What distinguishes one residual network from another.
pub(super) struct Plan {
    stem: Window,
    /// A 3×3 max-pool of stride 2 after the stem.
    pool: bool,
    stem_width: usize,
    /// Blocks and width of each stage; every stage after the first halves the image.
    stages: Vec<(usize, usize)>,
    kind: Kind,
    names: Names,
}

/// The two forms of a block.
#[derive(Clone, Copy)]
enum Kind {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3 (with the stride), 1×1 onto four times the stage's width; `widen` times the width between them.
    Bottleneck { widen: usize },
}

impl Kind {
    /// Channels that leave a block of a stage of this width.
    fn outputs(self, width: usize) -> usize {
        match self {
            Self::Basic => width,
            Self::Bottleneck { .. } => 4 * width,
        }
    }
}

/// What the repositories call the two layers on whose names they disagree.
#[derive(Clone, Copy)]
struct Names {
    projection: &'static str,
    classifier: &'static str,
}

const TORCHVISION: Names = Names { projection: "downsample", classifier: "fc" };
const CIFAR: Names = Names { projection: "shortcut", classifier: "linear" };

/// torchvision's networks of basic blocks, with the stem that suits the weights or else the images.
pub(super) fn torchvision(blocks: [usize; 4], shape: Shape, params: &Params) -> Plan {
    basic_blocks(blocks, has_small_stem(shape, params))
}

/// torchvision's networks of bottlenecks, their middle `widen` times as wide.
pub(super) fn bottlenecks(blocks: [usize; 4], widen: usize, shape: Shape, params: &Params) -> Plan {
    Plan { kind: Kind::Bottleneck { widen }, ..torchvision(blocks, shape, params) }
}

/// The four-stage CIFAR form whatever the image size, with the tensor names of CRD's `resnetv2.py`.
pub(super) fn four_stages(blocks: [usize; 4], deep: bool) -> Plan {
    let kind = if deep { Kind::Bottleneck { widen: 1 } } else { Kind::Basic };
    Plan { kind, names: CIFAR, ..basic_blocks(blocks, true) }
}

/// Four stages with torchvision's names, after a stem of 3×3 and stride 1, or one of 7×7, stride 2 and a max-pool.
fn basic_blocks(blocks: [usize; 4], small_stem: bool) -> Plan {
    Plan {
        stem: if small_stem { Window::three(1) } else { Window::same(7, 2) },
        pool: !small_stem,
        stem_width: 64,
        stages: blocks.into_iter().zip([64, 128, 256, 512]).collect(),
        kind: Kind::Basic,
        names: TORCHVISION,
    }
}

/// Weights tell their stem, at whatever size they are used; that a pool follows 7×7 and none follows 3×3 is a convention.
/// Fresh networks begin with 3×3 below 64 px.
fn has_small_stem(shape: Shape, params: &Params) -> bool {
    match params.given("conv1.weight") {
        Some([.., 3, 3]) => true,
        Some([.., 7, 7]) => false,
        _ => shape.size < 64,
    }
}

/// The CIFAR family of depth `6 · blocks + 2`, of the widths of the stem and of three stages.
pub(super) fn cifar(blocks: usize, [stem_width, stages @ ..]: [usize; 4]) -> Plan {
    let stages = stages.map(|width| (blocks, width)).to_vec();
    Plan { stem: Window::three(1), pool: false, stem_width, stages, kind: Kind::Basic, names: TORCHVISION }
}

pub(super) struct ResNet {
    stem: Stem,
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
                blocks.push(Block::new(plan, inputs, width, stride, &params.at(i))?);
                inputs = plan.kind.outputs(width);
            }
        }
        let stem = Stem { conv1, bn1, pool: plan.pool };
        let fc = Linear::new(inputs, shape.classes, &params.at(plan.names.classifier))?;
        Ok(Self { stem, blocks, fc })
    }
}

impl Network for ResNet {
    fn forward(&self, x: &Tensor, mode: Mode<'_>) -> Result<Output> {
        let x = flow::run(&(&self.stem, &self.blocks), x, mode.trains())?;
        let features = global_avg_pool(&x)?; // [n, width]
        Ok(Output { logits: self.fc.forward(&features)?, features })
    }
}

/// conv-bn-relu, and after a large convolution a max-pool.
struct Stem {
    conv1: Conv,
    bn1: BatchNorm,
    pool: bool,
}

impl Layers for Stem {
    fn is_tracked(&self) -> bool {
        self.conv1.is_tracked()
    }

    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        let x = flow.conv_norm((&self.conv1, &self.bn1), &x, None, true)?;
        if self.pool { flow.max_pool(&x, 3, 2, 1) } else { Ok(x) }
    }
}

/// Convolutions, each normalised and through a ReLU; the last is added to the (projected) input before its ReLU.
struct Block {
    convs: Vec<(Conv, BatchNorm)>,
    project: Option<(Conv, BatchNorm)>,
}

impl Block {
    fn new(plan: &Plan, inputs: usize, width: usize, stride: usize, params: &Params) -> Result<Self> {
        let outputs = plan.kind.outputs(width);
        let layers = match plan.kind {
            Kind::Basic => vec![(inputs, width, Window::three(stride)), (width, width, Window::three(1))],
            Kind::Bottleneck { widen } => {
                let middle = width * widen;
                vec![
                    (inputs, middle, Window::one(1)),
                    (middle, middle, Window::three(stride)),
                    (middle, outputs, Window::one(1)),
                ]
            }
        };
        let layer = |(i, (inputs, outputs, window)): (usize, (usize, usize, Window))| -> Result<_> {
            let conv = Conv::residual(inputs, outputs, window, &params.at(format!("conv{}", i + 1)))?;
            Ok((conv, BatchNorm::new(outputs, &params.at(format!("bn{}", i + 1)))?))
        };
        let convs = layers.into_iter().enumerate().map(layer).collect::<Result<_>>()?;
        let project = if stride == 1 && inputs == outputs {
            None
        } else {
            let params = params.at(plan.names.projection);
            let conv = Conv::residual(inputs, outputs, Window::one(stride), &params.at(0))?;
            Some((conv, BatchNorm::new(outputs, &params.at(1))?))
        };
        Ok(Self { convs, project })
    }
}

impl Layers for Block {
    fn is_tracked(&self) -> bool {
        self.convs.iter().any(|(conv, _)| conv.is_tracked())
    }

    fn through<F: Flow>(&self, flow: &mut F, x: F::Images) -> Result<F::Images> {
        let skip = match &self.project {
            None => x.clone(),
            Some((conv, bn)) => flow.conv_norm((conv, bn), &x, None, false)?,
        };
        let mut y = x;
        for (i, (conv, bn)) in self.convs.iter().enumerate() {
            let residual = (i + 1 == self.convs.len()).then_some(&skip);
            y = flow.conv_norm((conv, bn), &y, residual, true)?;
        }
        Ok(y)
    }
}
