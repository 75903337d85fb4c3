//! The mean and deviation by which a network's images are normalised.

use candle_core::Tensor;

use crate::data::Dataset;
use crate::{Error, Result};

/// Mean and standard deviation of each channel, of values from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Normal {
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

impl Normal {
    /// Of all pixels of `data`, computed in whole numbers: the same whatever the machine. Fails when there is none.
    pub fn of(data: &Dataset) -> Result<Self> {
        let pixels = data.height * data.width;
        if data.is_empty() || pixels == 0 || data.channels == 0 {
            return Err(Error::input("there is no training image"));
        }
        let mut sums = vec![(0u64, 0u64); data.channels];
        for (i, plane) in data.images.chunks_exact(pixels).enumerate() {
            let sum: u64 = plane.iter().map(|&byte| u64::from(byte)).sum();
            let squares: u64 = plane.iter().map(|&byte| u64::from(byte).pow(2)).sum();
            let total = &mut sums[i % data.channels];
            *total = (total.0 + sum, total.1 + squares);
        }
        let count = (data.len() * pixels) as f64;
        let of = |&(sum, squares): &(u64, u64)| {
            let mean = sum as f64 / count;
            let variance = (squares as f64 / count - mean * mean).max(0.0);
            // Images of one colour have no deviation to divide by.
            ((mean / 255.0) as f32, (variance.sqrt() / 255.0).max(1e-3) as f32)
        };
        let (mean, std) = sums.iter().map(of).unzip();
        Ok(Self { mean, std })
    }

    /// `(x − mean) / std` of images `[n, channels, height, width]`.
    pub fn apply(&self, images: &Tensor) -> Result<Tensor> {
        if let ([mean], [std]) = (self.mean.as_slice(), self.std.as_slice()) {
            let (mean, std) = (f64::from(*mean), f64::from(*std));
            return Ok(images.affine(1.0 / std, -mean / std)?);
        }
        let spread = |values: &[f32]| Tensor::new(values, images.device())?.reshape((1, values.len(), 1, 1));
        Ok(images.broadcast_sub(&spread(&self.mean)?)?.broadcast_div(&spread(&self.std)?)?)
    }
}

/// One number, or a JSON list of one for each channel: how checkpoints keep them.
pub fn to_json(values: &[f32]) -> String {
    match values {
        [value] => value.to_string(),
        values => format!("[{}]", values.iter().map(f32::to_string).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(images: &[u8], channels: usize) -> Dataset {
        let (height, width) = (1, 2);
        let n = images.len() / (channels * 2);
        Dataset { images: images.to_vec(), labels: vec![0; n], channels, height, width, classes: 1 }
    }

    #[test]
    fn channels_are_normalised_apart() {
        let data = data(&[0, 255, 51, 51, 255, 0, 51, 51], 2);
        let normal = Normal::of(&data).unwrap();
        assert_eq!((normal.mean.as_slice(), normal.std[0]), ([0.5, 0.2].as_slice(), 0.5));
        let (images, _) = data.batch(&[0]).unwrap();
        let values = normal.apply(&images).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [-1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn one_channel_and_several_agree() {
        let normal = Normal { mean: vec![0.25], std: vec![0.5] };
        let (images, _) = data(&[0, 255], 1).batch(&[0]).unwrap();
        assert_eq!(normal.apply(&images).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), [-0.5, 1.5]);
    }

    #[test]
    fn checkpoints_keep_numbers_as_json() {
        assert_eq!(to_json(&[0.5]), "0.5");
        assert_eq!(serde_json::from_str::<Vec<f32>>(&to_json(&[0.1, 0.25])).unwrap(), [0.1, 0.25]);
    }

    #[test]
    fn no_images_is_an_error() {
        Normal::of(&data(&[], 1)).unwrap_err();
    }
}
