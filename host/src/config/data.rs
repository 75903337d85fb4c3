//! Where real images are read from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[data]`: the real images of the task; a run reads the training images only for its baseline.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataConfig {
    /// How the files are laid out: `idx`, `cifar`, `folder` or `shards`. Required.
    pub format: Format,
    /// The number of classes, 2 to 100000. Required.
    pub classes: usize,
    /// `folder` and `shards` only: the side in pixels of the squares that images are cut to, 8 to 1024. With it images may have
    /// any size and be JPEG, PNG or WebP (other files are passed over, with a warning), and `train classifier` looks at both ends
    /// of each before it begins and reads them from the disk as it needs them. Required by `shards`. Default: all images have
    /// one size already and are PNG.
    pub size: Option<usize>,
    /// With `size` only: 3 for colour, 1 for grey. Default 3.
    #[serde(default = "default_channels")]
    pub channels: usize,
    /// The training images. Required by `train classifier`, `train generator` and `baseline.real`.
    pub train: Option<FilesConfig>,
    /// The test images, on which `eval` counts. Default: none.
    pub test: Option<FilesConfig>,
}

fn default_channels() -> usize {
    3
}

/// The layout of image files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The files of MNIST and its kin, plain or gzipped: one for images, one for labels.
    Idx,
    /// The binary files of CIFAR-10 or CIFAR-100.
    Cifar,
    /// One folder a class, named by sorting, with the images in it.
    Folder,
    /// WebDataset shards: tar files with an image and a `.cls` file, its class as a number, for each sample.
    Shards,
}

/// `data.train` and `data.test`: the files of one split, `images` and `labels` for `idx`, `files` for `cifar` and `shards`, `path` for
/// `folder`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilesConfig {
    /// `idx`: the file of images.
    pub images: Option<PathBuf>,
    /// `idx`: the file of labels.
    pub labels: Option<PathBuf>,
    /// `cifar`: the batch files, in order; `shards`: the shards.
    pub files: Option<Vec<PathBuf>>,
    /// `folder`: the folder that has one folder a class, of the same names in both splits.
    pub path: Option<PathBuf>,
}
