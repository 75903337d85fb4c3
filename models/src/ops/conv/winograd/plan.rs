//! How a convolution is cut into tiles, and where transformed tiles lie.

use super::blocks::BLOCK;
use super::transform::{Map, Places, STEP, STRIDED_TILE, TILE};
use crate::ops::conv::geometry::Geometry;

/// Tiles that are worked on together, at most and at least.
const MOST_TILES: usize = 48;
const LEAST_TILES: usize = 24;

/// Floats of transformed inputs and outputs that stay in a core's second-level cache.
const CACHE_FLOATS: usize = 200 * 1024;

/// Images on one side of the convolution, cut into tiles of side `tile`, one every `step` pixels.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub padding: usize,
    pub tile: usize,
    pub step: usize,
    pub map: Map,
}

impl Side {
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(BLOCK)
    }

    /// Channels with those that fill up the last block.
    pub fn padded(&self) -> usize {
        self.blocks() * BLOCK
    }

    pub fn image(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Where a transformed tile goes: frequency f, tile t and channel block b at `f * pitch + t * tile + b * block`.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    pub pitch: usize,
    pub tile: usize,
    pub block: usize,
}

impl Spread {
    /// A row of all channels a tile.
    pub fn rows(tiles: usize, channels: usize) -> Self {
        // The odd block keeps the frequencies apart in a cache of few ways.
        Self { pitch: tiles * channels + BLOCK, tile: channels, block: BLOCK }
    }

    /// A matrix of all tiles a block.
    pub fn panels(tiles: usize, channels: usize) -> Self {
        Self { block: tiles * BLOCK, tile: BLOCK, ..Self::rows(tiles, channels) }
    }

    /// `side` frequencies along each axis.
    pub fn places(self, side: usize) -> Places {
        Places { square: self.tile, row: side * self.pitch, column: self.pitch }
    }
}

/// One convolution cut into tiles. A unit of work is one row of tiles of one image.
pub(super) struct Plan {
    pub input: Side,
    pub output: Side,
    pub kernel: Map,
    pub tiles_x: usize,
    pub tiles_y: usize,
    /// Frequencies along each axis.
    pub side: usize,
}

impl Plan {
    pub fn new(g: &Geometry) -> Self {
        let Geometry { inputs, outputs, height, width, out_height, out_width, padding, .. } = *g;
        let strided = g.stride == 2;
        let (side, from, to, kernel) = if strided {
            (STRIDED_TILE, Map::StridedInput, Map::StridedOutput, Map::StridedKernel)
        } else {
            (TILE, Map::Input, Map::Output, Map::Kernel)
        };
        let step = g.stride * STEP;
        Self {
            input: Side { channels: inputs, height, width, padding, tile: side, step, map: from },
            output: Side {
                channels: outputs,
                height: out_height,
                width: out_width,
                padding: 0,
                tile: STEP,
                step: STEP,
                map: to,
            },
            kernel,
            tiles_x: out_width.div_ceil(STEP),
            tiles_y: out_height.div_ceil(STEP),
            side,
        }
    }

    /// From the gradient of the output of a convolution of stride 2 to that of its input.
    pub fn spread(g: &Geometry) -> Self {
        let forward = Self::new(g);
        let input = Side { tile: STEP + 1, map: Map::SpreadInput, ..forward.output };
        let output = Side { padding: 0, tile: 2 * STEP, map: Map::SpreadOutput, ..forward.input };
        Self { input, output, ..forward }
    }

    pub fn frequencies(&self) -> usize {
        self.side * self.side
    }

    /// Which kernel frequency `f` is multiplied with: along an axis, the last are all products with one tap.
    pub fn kernel_of(&self, f: usize) -> usize {
        (f / self.side).min(TILE - 1) * TILE + (f % self.side).min(TILE - 1)
    }

    /// Tiles that are carried through all steps at a time.
    pub fn tiles(&self) -> usize {
        let channels = self.input.padded() + self.output.padded();
        (CACHE_FLOATS / (self.frequencies() * channels)).clamp(LEAST_TILES, MOST_TILES)
    }

    /// Images of one parallel task, so many that an even number of nearly equal tasks comes out.
    pub fn images(&self, n: usize) -> usize {
        let images = (self.tiles() / (self.tiles_x * self.tiles_y)).max(1);
        n.div_ceil(n.div_ceil(images).next_multiple_of(2)).max(1)
    }

    /// Units whose tiles are about [`Self::tiles`].
    pub fn units(&self) -> usize {
        (self.tiles() / self.tiles_x).max(1)
    }
}
