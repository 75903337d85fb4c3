//! What stands before a network, as operations on tensors: for devices whose memory the processor does not reach.

use candle_core::{DType, Device, Result, Tensor};
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

    /// From the gradient with respect to what [`Self::run`] makes of `images` to the one with respect to these.
    pub(crate) fn back(&self, images: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let gradient = gradient.broadcast_div(&self.std)?;
        match &self.resize {
            Some(matrix) => through_resize(images, matrix, &gradient),
            None => Ok(gradient),
        }
    }
}

/// `M · x · Mᵀ` of each plane, cut off at 0 and 1 after either product.
fn resized(images: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let (n, channels, ..) = images.dims4()?;
    let size = matrix.dim(0)?;
    let narrow = across(images, matrix)?.clamp(0f32, 1f32)?;
    let small = down(&narrow, matrix)?.clamp(0f32, 1f32)?;
    small.reshape((n, channels, size, size))
}

/// The gradient with respect to `images` from the one of [`resized`]: `Mᵀ · g · M`, nothing of it through what was cut off.
fn through_resize(images: &Tensor, matrix: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let (n, channels, height, width) = images.dims4()?;
    let (planes, (size, _)) = (n * channels, matrix.dims2()?);
    let wide = across(images, matrix)?;
    let small = down(&wide.clamp(0f32, 1f32)?, matrix)?;
    let gradient = (gradient.reshape((planes, size, size))? * kept(&small)?)?;
    let columns = matrix.t()?.contiguous()?.broadcast_left(planes)?.contiguous()?.matmul(&gradient)?;
    let columns = (columns * kept(&wide)?)?; // [planes, height, size]
    columns.reshape((planes * height, size))?.matmul(matrix)?.reshape((n, channels, height, width))
}

/// `x · Mᵀ`, `[planes, height, size]`.
fn across(images: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let (n, channels, height, width) = images.dims4()?;
    let (planes, size) = (n * channels, matrix.dim(0)?);
    images.reshape((planes * height, width))?.matmul(&matrix.t()?)?.reshape((planes, height, size))
}

/// `M · x`, `[planes, size, size]`.
fn down(narrow: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    matrix.broadcast_left(narrow.dim(0)?)?.contiguous()?.matmul(narrow)
}

/// 1 where a value is within 0 and 1, 0 where it is cut off. Black and white resized are 0 and 1 but for rounding.
fn kept(values: &Tensor) -> Result<Tensor> {
    const ROUNDING: f32 = 1e-5;
    let (least, most) = (values.ge(-ROUNDING)?, values.le(1.0 + ROUNDING)?);
    least.to_dtype(DType::F32)? * most.to_dtype(DType::F32)?
}

#[cfg(test)]
mod tests {
    use limbeck_models::classifier::Detected;
    use serde_json::json;

    use super::super::settings::Config;
    use super::*;

    fn settings(size: usize, input: usize, resize: usize, interpolation: &str) -> Settings {
        let config = json!({
            "weights": "w", "input": input, "resize": resize, "interpolation": interpolation,
            "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25],
        });
        let detected = |_: Option<&str>| Ok(Detected { network: "resnet8", classes: 10, channels: 3, size });
        Settings::new(&Config::parse(&config).unwrap(), &|_| None, &detected).unwrap()
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// `⟨g, J δ⟩` by differences is `⟨Jᵀ g, δ⟩`: preparing is linear in pieces, and few values are near the end of one.
    #[test]
    fn gradients_go_back_the_way_that_images_came() {
        for (size, input, resize, interpolation) in
            [(8, 8, 8, "bilinear"), (8, 32, 13, "bicubic"), (20, 7, 24, "bicubic"), (10, 13, 13, "bilinear")]
        {
            let settings = settings(size, input, resize, interpolation);
            for device in limbeck_models::testing::devices() {
                let prepare = Prepare::new(&settings, &device).unwrap();
                let tensor = |count: usize, side: usize, value: &dyn Fn(usize) -> f32| {
                    let values: Vec<f32> = (0..count * side * side).map(value).collect();
                    Tensor::from_vec(values, (count / 3, 3, side, side), &device).unwrap()
                };
                // Hard edges, over which the cubic shoots and is cut off.
                let images = tensor(6, input, &|at| ((at * 7919 % 13) / 6) as f32 / 2.0);
                let gradient = tensor(6, size, &|at| (at * 31 % 17) as f32 / 8.0 - 1.0);
                let back = prepare.back(&images, &gradient).unwrap();
                assert_eq!(back.dims(), images.dims());
                let dot = |a: &Tensor, b: &Tensor| -> f64 {
                    flat(a).iter().zip(flat(b)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
                };
                const STEP: f64 = 1e-3;
                // Inwards, so that black and white are not cut off.
                let inwards =
                    tensor(6, input, &|at| (at * 53 % 11) as f32 / 11.0 * (0.5 - ((at * 7919 % 13) / 6) as f32 / 2.0));
                let moved = (&images + inwards.affine(STEP, 0.0).unwrap()).unwrap();
                let change = (prepare.run(&moved).unwrap() - prepare.run(&images).unwrap()).unwrap();
                let (expected, found) = (dot(&gradient, &change) / STEP, dot(&back, &inwards));
                let scale = dot(&back, &back).sqrt() * dot(&inwards, &inwards).sqrt();
                assert!(
                    (expected - found).abs() < 0.01 * scale,
                    "{settings:?}: {found} back, {expected} by differences"
                );
            }
        }
    }

    #[test]
    fn what_is_cut_off_has_no_gradient_and_black_and_white_have() {
        let ones =
            |settings: &Settings| Tensor::ones((1, 3, settings.size, settings.size), DType::F32, &Device::Cpu).unwrap();
        let back = |settings: &Settings, images: &Tensor| {
            flat(&Prepare::new(settings, &Device::Cpu).unwrap().back(images, &ones(settings)).unwrap())
        };
        let enlarged = settings(20, 7, 20, "bilinear");
        for value in [0f32, 1.0] {
            let plain = Tensor::full(value, (1, 3, 7, 7), &Device::Cpu).unwrap();
            // Every pixel counts, and all of them together as much as the 400 that they become.
            let found = back(&enlarged, &plain);
            let sum: f32 = found[..49].iter().sum();
            assert!(found.iter().all(|&value| value > 0.0) && (sum - 400.0 / 0.2).abs() < 0.1, "{value}: {sum}");
        }
        let beyond = Tensor::full(1.5f32, (1, 3, 7, 7), &Device::Cpu).unwrap();
        assert!(back(&enlarged, &beyond).iter().all(|&value| value == 0.0));
    }

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
            let settings = settings(size, input, resize, interpolation);
            // Hard edges, over which the cubic shoots.
            let pixels: Vec<f32> = (0..2 * 3 * input * input).map(|at| ((at * 7919 % 13) / 6) as f32 / 2.0).collect();
            let expected = settings.prepare(&pixels);
            for device in limbeck_models::testing::devices() {
                let images = Tensor::from_slice(&pixels, (2, 3, input, input), &device).unwrap();
                let found = Prepare::new(&settings, &device).unwrap().run(&images).unwrap();
                assert_eq!(found.dims(), [2, 3, size, size]);
                let worst = flat(&found)
                    .iter()
                    .zip(&expected)
                    .map(|(found, expected)| (found - expected).abs())
                    .fold(0.0, f32::max);
                assert!(worst < 1e-5, "{settings:?}: {worst}");
            }
        }
    }
}
