//! DiT with adaLN-Zero (Peebles & Xie, arXiv 2212.09748), in pixel or latent space.
//!
//! Tensor names are those of the official checkpoints (`DiT-XL-2-256x256.pt`), so these load unchanged.

use candle_core::{D, DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::ops::{attention, gated_residual, gelu, layer_norm_modulate, linear};
use crate::{Error, Init, Params, Result};

/// The shape of a DiT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DitConfig {
    /// Side of the square input, in pixels or latent cells; a multiple of `patch`.
    pub size: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Side of a patch.
    pub patch: usize,
    /// Width of a token; a multiple of `heads` and of 4.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Number of classes; one more embedding stands for "no class" (classifier-free guidance).
    pub classes: usize,
}

/// The official sizes: name, depth, width, heads.
const SIZES: [(&str, usize, usize, usize); 4] =
    [("S", 12, 384, 6), ("B", 12, 768, 12), ("L", 24, 1024, 16), ("XL", 28, 1152, 16)];

impl DitConfig {
    /// One of the paper's models, such as `DiT-S/2`: 1000 classes, four latent channels of `size × size` cells.
    pub fn named(name: &str, size: usize) -> Result<Self> {
        let parsed = name.strip_prefix("DiT-").and_then(|rest| rest.split_once('/'));
        let found = parsed.and_then(|(letter, patch)| {
            let (_, depth, width, heads) = *SIZES.iter().find(|known| known.0 == letter)?;
            Some(Self { size, channels: 4, patch: patch.parse().ok()?, width, depth, heads, classes: 1000 })
        });
        let config = found.ok_or_else(|| {
            Error::Config(format!("no model `{name}`: write DiT-S/2, DiT-B/4, DiT-XL/2 and the like"))
        })?;
        config.check()?;
        Ok(config)
    }

    /// Refuses sizes that don't fit together.
    pub fn check(&self) -> Result<()> {
        let positive = [self.size, self.channels, self.patch, self.width, self.depth, self.heads, self.classes];
        let fault = if positive.contains(&0) {
            Some("every size of a DiT is at least 1".to_owned())
        } else if !self.size.is_multiple_of(self.patch) {
            Some(format!("patch {} does not divide the input size {}", self.patch, self.size))
        } else if !self.width.is_multiple_of(self.heads) || !self.width.is_multiple_of(4) {
            Some(format!("width {} is not a multiple of 4 and of the {} heads", self.width, self.heads))
        } else {
            None
        };
        fault.map_or(Ok(()), |fault| Err(Error::Config(fault)))
    }

    fn tokens(&self) -> usize {
        (self.size / self.patch).pow(2)
    }
}

/// A layer `y = x·wᵀ + b`.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(params: &Params, inputs: usize, outputs: usize, init: Init) -> Result<Self> {
        Ok(Self {
            weight: params.param("weight", (outputs, inputs), init)?,
            bias: params.param("bias", outputs, Init::Const(0.0))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, &self.bias)?)
    }
}

fn xavier(inputs: usize, outputs: usize) -> Init {
    Init::Uniform((6.0 / (inputs + outputs) as f32).sqrt())
}

struct Block {
    heads: usize,
    modulation: Linear,
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
}

impl Block {
    fn new(params: &Params, config: &DitConfig) -> Result<Self> {
        let w = config.width;
        let (attn, mlp) = (params.at("attn"), params.at("mlp"));
        Ok(Self {
            heads: config.heads,
            modulation: Linear::new(&params.at("adaLN_modulation.1"), w, 6 * w, Init::Const(0.0))?,
            qkv: Linear::new(&attn.at("qkv"), w, 3 * w, xavier(w, 3 * w))?,
            proj: Linear::new(&attn.at("proj"), w, w, xavier(w, w))?,
            fc1: Linear::new(&mlp.at("fc1"), w, 4 * w, xavier(w, 4 * w))?,
            fc2: Linear::new(&mlp.at("fc2"), 4 * w, w, xavier(w, 4 * w))?,
        })
    }

    /// `x [n, tokens, width]`, `condition [n, width]` (already through SiLU).
    fn forward(&self, x: &Tensor, condition: &Tensor) -> Result<Tensor> {
        let parts = self.modulation.forward(condition)?.chunk(6, 1)?; // shift, scale, gate; for attention, then the MLP
        let attended = attention(&self.qkv.forward(&layer_norm_modulate(x, &parts[0], &parts[1])?)?, self.heads)?;
        let x = gated_residual(x, &parts[2], &self.proj.forward(&attended)?)?;
        let hidden = gelu(&self.fc1.forward(&layer_norm_modulate(&x, &parts[3], &parts[4])?)?)?; // [n, tokens, 4 · width]
        Ok(gated_residual(&x, &parts[5], &self.fc2.forward(&hidden)?)?)
    }
}

/// The width of the sinusoidal timestep embedding.
const FREQUENCIES: usize = 256;

/// The denoiser: noisy images, timesteps and classes in; ε and the variance coefficient out.
pub struct Dit {
    config: DitConfig,
    patch_embed: Linear,
    position: Tensor,
    time: [Linear; 2],
    classes: Tensor,
    blocks: Vec<Block>,
    modulation: Linear,
    head: Linear,
}

impl Dit {
    pub fn new(config: &DitConfig, params: &Params) -> Result<Self> {
        config.check()?;
        let w = config.width;
        let cell = config.channels * config.patch * config.patch;
        let embed = params.at("x_embedder.proj");
        let patch_weight = embed.param("weight", (w, config.channels, config.patch, config.patch), xavier(cell, w))?;
        let last = params.at("final_layer");
        let normal = Init::Normal(0.02);
        Ok(Self {
            patch_embed: Linear {
                weight: patch_weight.reshape((w, cell))?,
                bias: embed.param("bias", w, Init::Const(0.0))?,
            },
            position: position_embedding(config.size / config.patch, w, params.device())?.to_dtype(params.dtype())?,
            time: [
                Linear::new(&params.at("t_embedder.mlp.0"), FREQUENCIES, w, normal)?,
                Linear::new(&params.at("t_embedder.mlp.2"), w, w, normal)?,
            ],
            classes: params.param("y_embedder.embedding_table.weight", (config.classes + 1, w), normal)?,
            blocks: (0..config.depth)
                .map(|i| Block::new(&params.at("blocks").at(i), config))
                .collect::<Result<Vec<_>>>()?,
            modulation: Linear::new(&last.at("adaLN_modulation.1"), w, 2 * w, Init::Const(0.0))?,
            head: Linear::new(&last.at("linear"), w, 2 * cell, Init::Const(0.0))?,
            config: config.clone(),
        })
    }

    pub fn config(&self) -> &DitConfig {
        &self.config
    }

    /// `x [n, channels, size, size]`, `t [n]` (steps of the training schedule, f32), `y [n]` (u32; `classes` = no class)
    /// → `[n, 2 · channels, size, size]`: ε, then the variance coefficient in about [-1, 1].
    pub fn forward(&self, x: &Tensor, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let time = self.time[1].forward(&self.time[0].forward(&self.frequencies(t)?)?.silu()?)?;
        let condition = (time + self.classes.index_select(y, 0)?)?.silu()?; // [n, width]
        let tokens = self.patch_embed.forward(&self.patches(x)?)?; // [n, tokens, width]
        let mut tokens = tokens.broadcast_add(&self.position)?;
        for block in &self.blocks {
            tokens = block.forward(&tokens, &condition)?;
        }
        let parts = self.modulation.forward(&condition)?.chunk(2, 1)?; // shift, scale
        let out = self.head.forward(&layer_norm_modulate(&tokens, &parts[0], &parts[1])?)?;
        self.unpatch(&out)
    }

    /// `[n, channels, size, size]` → `[n, tokens, channels · patch²]`, each patch in the order of a convolution's weights.
    fn patches(&self, x: &Tensor) -> Result<Tensor> {
        let DitConfig { size, channels, patch, .. } = self.config;
        let (n, side) = (x.dim(0)?, size / patch);
        let x = x.reshape(&[n, channels, side, patch, side, patch][..])?.permute(vec![0, 2, 4, 1, 3, 5])?;
        Ok(x.contiguous()?.reshape((n, self.config.tokens(), channels * patch * patch))?)
    }

    /// `[n, tokens, patch² · 2 · channels]` (channel fastest, as in the official code) → `[n, 2 · channels, size, size]`.
    fn unpatch(&self, x: &Tensor) -> Result<Tensor> {
        let DitConfig { size, channels, patch, .. } = self.config;
        let (n, side) = (x.dim(0)?, size / patch);
        let x = x.reshape(&[n, side, side, patch, patch, 2 * channels][..])?.permute(vec![0, 5, 1, 3, 2, 4])?;
        Ok(x.contiguous()?.reshape((n, 2 * channels, size, size))?)
    }

    /// Sinusoids of the timestep, `[n] → [n, 256]`: cosines, then sines, periods from 2π to 2π·10⁴.
    fn frequencies(&self, t: &Tensor) -> Result<Tensor> {
        let half = FREQUENCIES / 2;
        let rates: Vec<f32> = (0..half).map(|i| (-(10_000.0_f32.ln()) * i as f32 / half as f32).exp()).collect();
        let rates = Tensor::from_vec(rates, (1, half), t.device())?;
        let angles = t.to_dtype(DType::F32)?.unsqueeze(1)?.broadcast_mul(&rates)?;
        Ok(Tensor::cat(&[angles.cos()?, angles.sin()?], D::Minus1)?.to_dtype(self.position.dtype())?)
    }
}

/// The fixed two-dimensional sine-cosine embedding, `[1, side², width]`: a quarter each of sin and cos of the column, then
/// of the row (the order of the official `get_2d_sincos_pos_embed`).
fn position_embedding(side: usize, width: usize, device: &Device) -> Result<Tensor> {
    let quarter = width / 4;
    let rate = |i: usize| 1.0 / 10_000.0_f64.powf(i as f64 / quarter as f64);
    let mut values = Vec::with_capacity(side * side * width);
    for row in 0..side {
        for column in 0..side {
            for place in [column, row] {
                values.extend((0..quarter).map(|i| (place as f64 * rate(i)).sin() as f32));
                values.extend((0..quarter).map(|i| (place as f64 * rate(i)).cos() as f32));
            }
        }
    }
    Ok(Tensor::from_vec(values, (1, side * side, width), device)?)
}
