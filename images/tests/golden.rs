//! Decoding and every change against PIL's and torchvision's pixels (`tests/golden/make_images.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use limbeck_images::{Change, Channels, Pixels, Resizer, Window, decode};
use safetensors::SafeTensors;

/// Images by name, `[height, width, channels]`, u8.
struct Golden {
    images: BTreeMap<String, Pixels>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn golden() -> Golden {
    let bytes = std::fs::read(folder().join("images.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let image = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let shape = view.shape();
        let channels = Channels::of(shape[2]).unwrap();
        (name, Pixels::new(channels, shape[0], shape[1], view.data().to_vec()).unwrap())
    };
    Golden { images: file.tensors().into_iter().map(image).collect() }
}

impl Golden {
    /// Fails unless every value is within `largest` of PIL's, and on average within `mean`.
    #[track_caller]
    fn check(&self, name: &str, found: &Pixels, largest: u8, mean: f64) {
        let expected = &self.images[name];
        assert_eq!((found.height, found.width, found.channels), (expected.height, expected.width, expected.channels));
        let gaps: Vec<u8> = found.data.iter().zip(&expected.data).map(|(a, b)| a.abs_diff(*b)).collect();
        let worst = gaps.iter().max().copied().unwrap_or(0);
        let average = gaps.iter().map(|&gap| f64::from(gap)).sum::<f64>() / gaps.len() as f64;
        assert!(worst <= largest && average <= mean, "{name}: {worst} at most, {average} on average");
    }

    #[track_caller]
    fn exact(&self, name: &str, change: Change, from: &str) {
        let mut image = self.images[from].clone();
        change.apply(&mut image);
        self.check(name, &image, 0, 0.0);
    }
}

#[test]
fn changes_are_exact() {
    let golden = golden();
    for (name, change) in [
        ("brightness-0.6", Change::Brightness(0.6)),
        ("brightness-1.4", Change::Brightness(1.4)),
        ("contrast-0.6", Change::Contrast(0.6)),
        ("contrast-1.4", Change::Contrast(1.4)),
        ("saturation-0.6", Change::Saturation(0.6)),
        ("saturation-1.4", Change::Saturation(1.4)),
        ("hue-0.1", Change::Hue(0.1)),
        ("hue--0.3", Change::Hue(-0.3)),
        ("sharpness-0.1", Change::Sharpness(0.1)),
        ("sharpness-1.9", Change::Sharpness(1.9)),
        ("posterize-4", Change::Posterize(4)),
        ("solarize-127.5", Change::Solarize(127.5)),
        ("autocontrast", Change::AutoContrast),
        ("equalize", Change::Equalize),
        ("shear-x-0.27", Change::ShearX(0.27)),
        ("shear-x--0.09", Change::ShearX(-0.09)),
        ("shear-y-0.27", Change::ShearY(0.27)),
        ("translate-x-7", Change::TranslateX(7.0)),
        ("translate-y--5", Change::TranslateY(-5.0)),
        ("rotate-27", Change::Rotate(27.0)),
        ("rotate--9", Change::Rotate(-9.0)),
    ] {
        golden.exact(name, change, "photo");
        if !name.starts_with("saturation") && !name.starts_with("hue") {
            golden.exact(&format!("grey.{name}"), change, "grey");
        }
    }
    let mut flipped = golden.images["photo"].clone();
    flipped.flip();
    golden.check("flip", &flipped, 0, 0.0);
}

#[test]
fn grey_has_no_colour_to_change() {
    let grey = &golden().images["grey"];
    for change in [Change::Saturation(0.5), Change::Hue(0.2)] {
        let mut image = grey.clone();
        change.apply(&mut image);
        assert_eq!(image, *grey);
    }
}

#[test]
fn resizing_is_within_one_step() {
    let golden = golden();
    let mut resizer = Resizer::new();
    for from in ["photo", "grey"] {
        let image = &golden.images[from];
        for (name, window, side) in [
            ("crop-down", Window { top: 3, left: 5, height: 40, width: 50 }, 24),
            ("crop-up", Window { top: 10, left: 20, height: 13, width: 11 }, 32),
            ("crop-same", Window { top: 8, left: 9, height: 24, width: 24 }, 24),
        ] {
            let found = resizer.resized_crop(image, window, side, side).unwrap();
            golden.check(&format!("{from}.{name}"), &found, 1, 0.25);
        }
        golden.check(&format!("{from}.centre"), &resizer.centre(image, 37, 32).unwrap(), 1, 0.25);
    }
}

/// JPEG leaves the rounding of its inverse transform and the interpolation of colours to the decoder; PNG and lossless WebP
/// don't.
#[test]
fn decoded_images_are_those_of_pil() {
    let golden = golden();
    for (file, largest, mean) in [
        ("photo.jpg", 6, 0.5),
        ("progressive.jpg", 6, 0.5),
        ("full-colour.jpg", 3, 0.5),
        ("photo.png", 0, 0.0),
        ("photo.webp", 0, 0.0),
    ] {
        let bytes = std::fs::read(folder().join("images").join(file)).unwrap();
        golden.check(file, &decode(&bytes, Channels::Rgb).unwrap(), largest, mean);
        golden.check(&format!("grey.{file}"), &decode(&bytes, Channels::Grey).unwrap(), largest, mean);
    }
    let bytes = std::fs::read(folder().join("images/grey.jpg")).unwrap();
    golden.check("grey.jpg", &decode(&bytes, Channels::Rgb).unwrap(), 2, 0.5);
}
