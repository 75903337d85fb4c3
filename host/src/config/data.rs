//! Where real images are read from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[data]`: the real images of the task; a run reads the training images only for its baseline.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataConfig {
    /// How the files are laid out: `idx`, `cifar` or `folder`. Required.
    pub format: Format,
    /// The number of classes, 2 to 100000. Required.
    pub classes: usize,
    /// The training images. Required by `train classifier`, `train generator` and `baseline.real`.
    pub train: Option<FilesConfig>,
    /// The test images, on which `eval` counts. Default: none.
    pub test: Option<FilesConfig>,
}

/// The layout of image files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The files of MNIST and its kin, plain or gzipped: one for images, one for labels.
    Idx,
    /// The binary files of CIFAR-10 or CIFAR-100.
    Cifar,
    /// One folder a class, named by sorting, with PNG files in it.
    Folder,
}

/// The files of one split: `images` and `labels` for `idx`, `files` for `cifar`, `path` for `folder`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilesConfig {
    /// `idx`: the file of images.
    pub images: Option<PathBuf>,
    /// `idx`: the file of labels.
    pub labels: Option<PathBuf>,
    /// `cifar`: the batch files, in order.
    pub files: Option<Vec<PathBuf>>,
    /// `folder`: the folder that has one folder a class.
    pub path: Option<PathBuf>,
}
