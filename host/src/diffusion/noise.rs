//! Noise drawn by the host, per sample: the same image whatever the batch size, the device or the resume point.

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::Result;
use crate::seed::{Purpose, rng};

/// The noise streams of one batch of samples; each image has its own.
pub struct Noise {
    streams: Vec<ChaCha8Rng>,
    shape: [usize; 3],
    device: Device,
}

impl Noise {
    /// Streams for the samples `ids` of the run `seed`; images are `shape` = channels, height, width.
    pub fn new(seed: u64, ids: &[u64], shape: [usize; 3], device: &Device) -> Self {
        let streams = ids.iter().map(|&id| rng(seed, Purpose::Noise, id)).collect();
        Self { streams, shape, device: device.clone() }
    }

    /// The next standard normal numbers of each stream, `[n, channels, height, width]`.
    pub fn draw(&mut self) -> Result<Tensor> {
        let [channels, height, width] = self.shape;
        let each = channels * height * width;
        let mut values = Vec::with_capacity(self.streams.len() * each);
        for stream in &mut self.streams {
            values.extend((0..each).map(|_| stream.sample::<f32, _>(StandardNormal)));
        }
        Ok(Tensor::from_vec(values, (self.streams.len(), channels, height, width), &self.device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_its_noise_whatever_the_batch() -> Result<()> {
        let shape = [1, 4, 4];
        let mut together = Noise::new(7, &[10, 11], shape, &Device::Cpu);
        let mut alone = Noise::new(7, &[11], shape, &Device::Cpu);
        for _ in 0..3 {
            let second = together.draw()?.get(1)?.flatten_all()?.to_vec1::<f32>()?;
            assert_eq!(second, alone.draw()?.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(())
    }
}
