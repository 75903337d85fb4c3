//! From the host's images to a model's input.

use limbeck_backend::{Error, InputSize, Result};

use crate::config::{Config, Layout, PerChannel};

/// Scale, normalisation and layout of a model's input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pixels {
    size: InputSize,
    layout: Layout,
    /// For each channel the factor and the offset that make `(x · pixel-max − mean) / std`.
    linear: Vec<(f32, f32)>,
}

impl Pixels {
    pub(crate) fn new(config: &Config, size: InputSize, layout: Layout) -> Result<Self> {
        let mean = PerChannel::each(config.mean.as_ref(), "mean", size.channels)?;
        let std = PerChannel::each(config.std.as_ref(), "std", size.channels)?;
        if let Some(bad) = mean.iter().find(|&&mean| mean > config.pixel_max) {
            return Err(Error::new(format!(
                "`mean` has {bad}, the brightest pixel is {}: set the `config` key `pixel-max` to 255, or divide `mean` and `std` by 255",
                config.pixel_max
            )));
        }
        if let Some(bad) = std.iter().find(|&&std| std <= 0.0) {
            return Err(Error::new(format!("`std` has {bad}, it must be positive")));
        }
        let linear = mean.iter().zip(&std).map(|(mean, std)| (config.pixel_max / std, -mean / std)).collect();
        Ok(Self { size, layout, linear })
    }

    pub(crate) fn size(&self) -> InputSize {
        self.size
    }

    /// How many numbers one image has.
    pub(crate) fn per_image(&self) -> usize {
        self.size.channels * self.size.height * self.size.width
    }

    /// The shape of `rows` images for the model.
    pub(crate) fn shape(&self, rows: usize) -> [usize; 4] {
        let InputSize { channels, height, width } = self.size;
        match self.layout {
            Layout::Nchw => [rows, channels, height, width],
            Layout::Nhwc => [rows, height, width, channels],
        }
    }

    /// Normalises images `[n, channels, height, width]` with values 0 to 1, and fills up with zeros to `rows` images.
    pub(crate) fn prepare(&self, images: &[f32], rows: usize) -> Vec<f32> {
        let InputSize { channels, height, width } = self.size;
        let area = height * width;
        let mut prepared = Vec::with_capacity(rows * self.per_image());
        match self.layout {
            Layout::Nchw => {
                for (plane, &(factor, offset)) in images.chunks_exact(area).zip(self.linear.iter().cycle()) {
                    prepared.extend(plane.iter().map(|x| x * factor + offset));
                }
            }
            Layout::Nhwc => {
                for image in images.chunks_exact(channels * area) {
                    for at in 0..area {
                        let pixel = self.linear.iter().enumerate();
                        prepared.extend(pixel.map(|(c, (factor, offset))| image[c * area + at] * factor + offset));
                    }
                }
            }
        }
        prepared.resize(rows * self.per_image(), 0.0);
        prepared
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pixels(config: serde_json::Value, layout: Layout) -> Result<Pixels> {
        let mut config = config;
        config["weights"] = "w.onnx".into();
        Pixels::new(&Config::parse(&config)?, InputSize { channels: 2, height: 1, width: 2 }, layout)
    }

    #[test]
    fn normalised_in_both_layouts() {
        let config = json!({"mean": [0.5, 0.0], "std": [0.5, 0.25]});
        let image = [0.5, 1.0, 0.0, 0.5];
        let nchw = pixels(config.clone(), Layout::Nchw).unwrap();
        assert_eq!(nchw.prepare(&image, 1), [0.0, 1.0, 0.0, 2.0]);
        assert_eq!(nchw.shape(3), [3, 2, 1, 2]);
        let nhwc = pixels(config, Layout::Nhwc).unwrap();
        assert_eq!(nhwc.prepare(&image, 2), [0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(nhwc.shape(3), [3, 1, 2, 2]);
        let bytes = pixels(json!({"mean": 127.5, "std": 127.5, "pixel-max": 255}), Layout::Nchw).unwrap();
        assert_eq!(bytes.prepare(&[0.0, 0.5, 1.0, 1.0], 1), [-1.0, 0.0, 1.0, 1.0]);
    }

    #[track_caller]
    fn refused(config: serde_json::Value, part: &str) {
        let message = pixels(config, Layout::Nchw).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(json!({"std": 1.0}), "set the `config` keys `mean` and `std`");
        refused(json!({"mean": 0.0}), "set the `config` keys `mean` and `std`");
        refused(json!({"mean": [1.0], "std": 1.0}), "`mean` is [1.0], it needs 2 finite numbers");
        refused(json!({"mean": 0.0, "std": 0.0}), "must be positive");
        refused(
            json!({"mean": [0.0, 127.5], "std": 127.5}),
            "`mean` has 127.5, the brightest pixel is 1: set the `config` key `pixel-max` to 255",
        );
        refused(json!({"mean": 0.0, "std": 1.0, "pixel-max": 0}), "`pixel-max` is 0");
        refused(json!({"mean": 0.0, "std": 1.0, "size": [0, 3]}), "must be at least 1");
        refused(json!({"mean": 0.0, "std": 1.0, "colour": "bgr"}), "unknown field `colour`");
        refused(json!({"mean": 0.0, "std": 1.0, "layout": "chw"}), "unknown variant `chw`");
    }
}
