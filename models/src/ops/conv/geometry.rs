//! The sizes of one convolution, checked once.

use candle_core::{Result, bail};

/// Sizes of a 2-D convolution on NCHW images with a `[outputs, inputs / groups, kh, kw]` kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ops) struct Geometry {
    pub n: usize,
    pub inputs: usize,
    pub height: usize,
    pub width: usize,
    pub outputs: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    pub padding: usize,
    pub groups: usize,
    pub out_height: usize,
    pub out_width: usize,
}

impl Geometry {
    /// Fails with both shapes when they do not fit together.
    pub fn new(x: &[usize], w: &[usize], stride: usize, padding: usize, groups: usize) -> Result<Self> {
        let (&[n, inputs, height, width], &[outputs, per_group, kh, kw]) = (x, w) else {
            bail!("conv2d needs images [n, c, h, w] and a kernel [o, c, kh, kw], found {x:?} and {w:?}")
        };
        if stride == 0 || groups == 0 || kh == 0 || kw == 0 {
            bail!("conv2d with stride {stride}, {groups} groups and kernel {w:?}: each must be at least 1")
        }
        if per_group * groups != inputs || outputs % groups != 0 {
            bail!("conv2d: images {x:?} and kernel {w:?} do not fit in {groups} groups")
        }
        if height + 2 * padding < kh || width + 2 * padding < kw {
            bail!("conv2d: the kernel {w:?} is larger than the images {x:?} padded by {padding}")
        }
        let out = |size: usize, kernel: usize| (size + 2 * padding - kernel) / stride + 1;
        let (out_height, out_width) = (out(height, kh), out(width, kw));
        Ok(Self { n, inputs, height, width, outputs, kh, kw, stride, padding, groups, out_height, out_width })
    }

    pub fn out_shape(&self) -> (usize, usize, usize, usize) {
        (self.n, self.outputs, self.out_height, self.out_width)
    }

    /// Output pixels of one image and channel.
    pub fn pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Floats of one input image.
    pub fn image(&self) -> usize {
        self.inputs * self.height * self.width
    }

    /// Floats of one output image.
    pub fn out_image(&self) -> usize {
        self.outputs * self.pixels()
    }

    pub fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    pub fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Terms of the sum behind one output element: the inner dimension of the matrix product.
    pub fn depth(&self) -> usize {
        self.group_inputs() * self.kh * self.kw
    }

    /// Floating-point operations of each of the three passes, by the definition.
    pub fn operations(&self) -> f64 {
        2.0 * (self.n * self.out_image()) as f64 * self.depth() as f64
    }

    /// Whether the images are their own patch matrix.
    pub fn is_pointwise(&self) -> bool {
        self.kh == 1 && self.kw == 1 && self.stride == 1 && self.padding == 0
    }

    /// The same convolution with images of one row, where that makes no difference.
    pub fn flattened(&self) -> Self {
        if !self.is_pointwise() {
            return *self;
        }
        let pixels = self.pixels();
        Self { height: 1, width: pixels, out_height: 1, out_width: pixels, ..*self }
    }

    /// The convolution that carries the gradient of the output back to the input, if it is one: stride 1, with the
    /// kernel turned round and its channel dimensions exchanged.
    pub fn reversed(&self) -> Option<Self> {
        if self.stride != 1 || self.kh != self.kw || self.padding >= self.kh {
            return None;
        }
        Some(Self {
            inputs: self.outputs,
            outputs: self.inputs,
            height: self.out_height,
            width: self.out_width,
            out_height: self.height,
            out_width: self.width,
            padding: self.kh - 1 - self.padding,
            ..*self
        })
    }
}
