//! What stands before a network, as operations on tensors: for devices whose memory the processor does not reach.

use candle_core::{Device, Result, Tensor};
use limbeck_models::preprocess::resize_and_crop;

use super::settings::Settings;

/// [`Settings::prepare`] with the same numbers, on any device.
pub(crate) struct Prepare {
    /// `[size, input]`: resizes a column and cuts the middle out; `None` where nothing is to be done.
    resize: Option<Tensor>,
    /// `[1, channels, 1, 1]`.
    mean: Tensor,
    std: Tensor,
}

impl Prepare {
    pub(crate) fn new(settings: &Settings, device: &Device) -> Result<Self> {
        let Settings { channels, size, input, resize, interpolation, .. } = *settings;
        let matrix = || Tensor::from_vec(resize_and_crop(input, resize, size, interpolation), (size, input), device);
        let spread = |values: &[f32]| Tensor::from_slice(values, (1, channels, 1, 1), device);
        let resize = settings.resizes().then(matrix).transpose()?;
        Ok(Self { resize, mean: spread(&settings.mean)?, std: spread(&settings.std)? })
    }

    /// From images `[n, channels, input, input]` of values 0 to 1 to `[n, channels, size, size]`.
    pub(crate) fn run(&self, images: &Tensor) -> Result<Tensor> {
        let resized = match &self.resize {
            Some(matrix) => resized(images, matrix)?,
            None => images.clone(),
        };
        resized.broadcast_sub(&self.mean)?.broadcast_div(&self.std)
    }

    /// From the gradient with respect to what [`Self::run`] gives to the one with respect to images of the same size.
    pub(crate) fn back(&self, gradient: &Tensor) -> Result<Tensor> {
        gradient.broadcast_div(&self.std)
    }
}

/// `M · x · Mᵀ` of each plane, cut off at 0 and 1 after either product.
fn resized(images: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let (n, channels, height, width) = images.dims4()?;
    let (planes, (size, _)) = (n * channels, matrix.dims2()?);
    let narrow = images.reshape((planes * height, width))?.matmul(&matrix.t()?)?.clamp(0f32, 1f32)?;
    let columns = narrow.reshape((planes, height, size))?;
    let small = matrix.broadcast_left(planes)?.contiguous()?.matmul(&columns)?.clamp(0f32, 1f32)?;
    small.reshape((n, channels, size, size))
}

#[cfg(test)]
mod tests {
    use limbeck_models::classifier::Detected;
    use serde_json::json;

    use super::super::settings::Config;
    use super::*;

    #[test]
    fn tensors_and_numbers_are_prepared_alike() {
        for (size, input, resize, interpolation) in [
            (8, 8, 8, "bilinear"),
            (8, 11, 8, "bilinear"),
            (8, 32, 13, "bicubic"),
            (9, 16, 12, "bicubic"),
            (20, 7, 24, "bicubic"),
            (10, 13, 13, "bilinear"),
        ] {
            let config = json!({
                "weights": "w", "input": input, "resize": resize, "interpolation": interpolation,
                "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25],
            });
            let detected = || Ok(Detected { network: "resnet8", classes: 10, channels: 3, size });
            let settings = Settings::new(&Config::parse(&config).unwrap(), &|_| None, &detected).unwrap();
            // Hard edges, over which the cubic shoots.
            let pixels: Vec<f32> = (0..2 * 3 * input * input).map(|at| ((at * 7919 % 13) / 6) as f32 / 2.0).collect();
            let expected = settings.prepare(&pixels);
            for device in limbeck_models::testing::devices() {
                let images = Tensor::from_slice(&pixels, (2, 3, input, input), &device).unwrap();
                let found = Prepare::new(&settings, &device).unwrap().run(&images).unwrap();
                assert_eq!(found.dims(), [2, 3, size, size]);
                let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let worst =
                    found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-5, "{config}: {worst}");
            }
        }
    }
}
