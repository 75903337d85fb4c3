//! What a network is applied for, and what training leaves out at random: dropout (Srivastava et al., JMLR 2014) and
//! stochastic depth (Huang et al., arXiv 1603.09382).

use std::cell::RefCell;

use candle_core::{Shape, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// What a network is applied for.
#[derive(Clone, Copy)]
pub enum Mode<'a> {
    /// Batches are normalised by the running statistics, and nothing is left out.
    Evaluation,
    /// Batches are normalised by their own statistics, which move the running ones, and the reference's dropout and
    /// stochastic depth are applied.
    Training(&'a Noise),
}

/// The random numbers of one training step; the layers draw theirs one after the other.
pub struct Noise(RefCell<ChaCha8Rng>);

impl Noise {
    pub fn new(random: ChaCha8Rng) -> Self {
        Self(RefCell::new(random))
    }

    /// `count` factors: 0 with the probability `p`, otherwise `1 / (1 - p)`, so that the expectation stays.
    fn factors(&self, count: usize, p: f32) -> Vec<f32> {
        let mut random = self.0.borrow_mut();
        (0..count).map(|_| if random.random::<f32>() < p { 0.0 } else { 1.0 / (1.0 - p) }).collect()
    }
}

impl Mode<'_> {
    pub fn trains(self) -> bool {
        matches!(self, Self::Training(_))
    }

    /// In training every element is dropped with the probability `p`, as `torch.nn.Dropout` does.
    pub(super) fn dropout(self, x: &Tensor, p: f32) -> Result<Tensor> {
        self.drop(x, x.shape().clone(), p)
    }

    /// In training whole images of the batch `[n, ..]` are dropped with the probability `p`, as by
    /// `torchvision.ops.StochasticDepth` of the mode `row`.
    pub(super) fn drop_images(self, x: &Tensor, p: f32) -> Result<Tensor> {
        let mut shape = vec![1; x.rank()];
        shape[..1].copy_from_slice(&x.dims()[..1]);
        self.drop(x, shape.into(), p)
    }

    fn drop(self, x: &Tensor, shape: Shape, p: f32) -> Result<Tensor> {
        let Self::Training(noise) = self else { return Ok(x.clone()) };
        if p == 0.0 {
            return Ok(x.clone());
        }
        let factors = Tensor::from_vec(noise.factors(shape.elem_count(), p), shape, x.device())?;
        Ok(x.broadcast_mul(&factors.to_dtype(x.dtype())?)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng as _;

    use super::*;

    fn noise(step: u64) -> Noise {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        random.set_stream(step);
        Noise::new(random)
    }

    fn ones() -> Tensor {
        Tensor::ones((40, 8, 5, 5), candle_core::DType::F32, &Device::Cpu).unwrap()
    }

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn dropout_keeps_the_expectation() {
        let dropped = values(&Mode::Training(&noise(0)).dropout(&ones(), 0.2).unwrap());
        assert!(dropped.iter().all(|&v| v == 0.0 || v == 1.25));
        let mean = dropped.iter().sum::<f32>() / dropped.len() as f32;
        // 8000 draws: five standard errors are 0.028.
        assert!((mean - 1.0).abs() < 0.028, "{mean}");
    }

    #[test]
    fn images_are_dropped_whole() {
        let dropped = values(&Mode::Training(&noise(0)).drop_images(&ones(), 0.5).unwrap());
        let images: Vec<f32> = dropped.chunks(200).map(|image| image[0]).collect();
        assert!(dropped.chunks(200).zip(&images).all(|(image, first)| image.iter().all(|v| v == first)));
        assert!(images.contains(&0.0) && images.contains(&2.0), "{images:?}");
    }

    #[test]
    fn the_step_alone_decides_what_is_dropped() {
        let dropped = |step| values(&Mode::Training(&noise(step)).dropout(&ones(), 0.5).unwrap());
        assert_eq!(dropped(3), dropped(3));
        assert_ne!(dropped(3), dropped(4));
        let noise = noise(3);
        let layer = || values(&Mode::Training(&noise).dropout(&ones(), 0.5).unwrap());
        assert_ne!(layer(), layer());
    }

    #[test]
    fn evaluation_leaves_nothing_out() {
        assert_eq!(values(&Mode::Evaluation.dropout(&ones(), 0.5).unwrap()), values(&ones()));
        assert_eq!(values(&Mode::Evaluation.drop_images(&ones(), 0.5).unwrap()), values(&ones()));
    }
}
