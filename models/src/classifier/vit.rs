//! ViT-B/16 (Dosovitskiy et al., arXiv 2010.11929), of torchvision's form and names.

use candle_core::Tensor;

use super::conv::{Conv, Window};
use super::layers::{LayerNorm, Linear};
use super::{Mode, Network, Output, Shape};
use crate::ops::{attention, gelu_erf, linear};
use crate::{Error, Init, Params, Result};

const PATCH: usize = 16;
const WIDTH: usize = 768;
const HIDDEN: usize = 3072;
const DEPTH: usize = 12;
const HEADS: usize = 12;

pub(super) struct VisionTransformer {
    embed: Conv,
    class_token: Tensor,
    position: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl VisionTransformer {
    /// For images whose side is a multiple of 16 px: the positions are learned for one size.
    pub fn new(shape: Shape, params: &Params) -> Result<Self> {
        if !shape.size.is_multiple_of(PATCH) {
            return Err(Error::Config(format!("vit_b_16 takes images of a multiple of 16 px, not {}", shape.size)));
        }
        let tokens = (shape.size / PATCH).pow(2) + 1;
        let fan_in = shape.channels * PATCH * PATCH;
        let init = (Init::Normal(1.0 / (fan_in as f32).sqrt()), Some(Init::Const(0.0)));
        let window = Window::valid(PATCH, PATCH);
        let encoder = params.at("encoder");
        let block = |i| Block::new(&encoder.at("layers").at(format!("encoder_layer_{i}")));
        let zeros = (Init::Const(0.0), Init::Const(0.0));
        Ok(Self {
            embed: Conv::initialised(shape.channels, WIDTH, window, init, &params.at("conv_proj"))?,
            class_token: params.param("class_token", (1, 1, WIDTH), Init::Const(0.0))?,
            position: encoder.param("pos_embedding", (1, tokens, WIDTH), Init::Normal(0.02))?,
            blocks: (0..DEPTH).map(block).collect::<Result<_>>()?,
            norm: LayerNorm::new(WIDTH, &encoder.at("ln"))?,
            head: Linear::initialised(WIDTH, shape.classes, zeros, &params.at("heads").at("head"))?,
        })
    }
}

impl Network for VisionTransformer {
    fn forward(&self, x: &Tensor, _mode: Mode<'_>) -> Result<Output> {
        let patches = self.embed.forward(x)?.flatten_from(2)?.transpose(1, 2)?; // [n, patches, width]
        let class = self.class_token.broadcast_as((x.dim(0)?, 1, WIDTH))?;
        let mut x = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.position)?; // [n, tokens, width]
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let features = self.norm.forward(&x.narrow(1, 0, 1)?)?.squeeze(1)?; // the class token, [n, width]
        Ok(Output { logits: self.head.forward(&features)?, features })
    }
}

/// Pre-norm attention and perceptron, each added to its input.
struct Block {
    norm1: LayerNorm,
    qkv: [Tensor; 2],
    proj: Linear,
    norm2: LayerNorm,
    mlp: [Linear; 2],
}

impl Block {
    fn new(params: &Params) -> Result<Self> {
        let attention = params.at("self_attention");
        let uniform = Init::Uniform(1.0 / (WIDTH as f32).sqrt());
        let hidden = (xavier(WIDTH, HIDDEN), Init::Normal(1e-6));
        let mlp = params.at("mlp");
        Ok(Self {
            norm1: LayerNorm::new(WIDTH, &params.at("ln_1"))?,
            qkv: [
                attention.param("in_proj_weight", (3 * WIDTH, WIDTH), xavier(WIDTH, 3 * WIDTH))?,
                attention.param("in_proj_bias", 3 * WIDTH, Init::Const(0.0))?,
            ],
            proj: Linear::initialised(WIDTH, WIDTH, (uniform, Init::Const(0.0)), &attention.at("out_proj"))?,
            norm2: LayerNorm::new(WIDTH, &params.at("ln_2"))?,
            mlp: [
                Linear::initialised(WIDTH, HIDDEN, hidden, &mlp.at(0))?,
                Linear::initialised(HIDDEN, WIDTH, hidden, &mlp.at(3))?,
            ],
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [weight, bias] = &self.qkv;
        let qkv = linear(&self.norm1.forward(x)?, weight, bias)?; // [n, tokens, 3 · width]
        let x = (self.proj.forward(&attention(&qkv, HEADS)?)? + x)?;
        let hidden = gelu_erf(&self.mlp[0].forward(&self.norm2.forward(&x)?)?)?; // [n, tokens, 4 · width]
        Ok((self.mlp[1].forward(&hidden)? + x)?)
    }
}

fn xavier(inputs: usize, outputs: usize) -> Init {
    Init::Uniform((6.0 / (inputs + outputs) as f32).sqrt())
}
