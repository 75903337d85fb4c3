//! A folder of PNGs, one subfolder a class: what most tools can write.
//!
//! The classes are the subfolders sorted by name as text, so `10` comes before `2`: pad numbers with zeros. Hidden files
//! and files beside the subfolders are passed over.

use std::path::{Path, PathBuf};

use limbeck_images::{class_folders, subfolders, visible_entries};
use rayon::prelude::*;

use super::{Dataset, MAX_BYTES, bad_file, refused};
use crate::pool::Image;
use crate::words::image_shape;
use crate::{Error, Result};

/// The largest PNG file that is opened, in bytes.
const MAX_FILE: u64 = 128 << 20;

/// Reads `path/<class>/*.png`, in the order of class and file name. Every image must have the same size and channels.
pub(super) fn load(path: &Path, classes: usize) -> Result<Dataset> {
    let mut files = Vec::new();
    for (class, folder) in class_folders(path, classes).map_err(refused)?.iter().enumerate() {
        let inside = visible_entries(folder).map_err(refused)?;
        if inside.is_empty() {
            return Err(bad_file(folder, "the folder of this class is empty"));
        }
        files.extend(inside.into_iter().map(|file| (class as u32, file)));
    }
    collect(&files, classes)
}

/// Classes are numbered by the names of the folders, so that one of another name would shift those after it: fails unless as
/// many folders have the same names. Another number of folders is told when they are read.
pub(super) fn same_classes(train: &Path, test: &Path) -> Result<()> {
    let names = |path: &Path| -> Result<Vec<_>> {
        let folders = subfolders(path).map_err(refused)?;
        Ok(folders.iter().filter_map(|folder| folder.file_name().map(ToOwned::to_owned)).collect())
    };
    let (of_train, of_test) = (names(train)?, names(test)?);
    let differ = of_train.iter().zip(&of_test).enumerate().find(|(_, (a, b))| a != b);
    let Some((class, (a, b))) = differ.filter(|_| of_train.len() == of_test.len()) else { return Ok(()) };
    let reason = format!(
        "class {class} is the folder `{}`, but in `{}` it is `{}`: classes are numbered in the order of the folders' names, \
         which must be the same",
        b.display(),
        train.display(),
        a.display()
    );
    Err(bad_file(test, reason))
}

fn collect(files: &[(u32, PathBuf)], classes: usize) -> Result<Dataset> {
    let Some((_, first_file)) = files.first() else {
        return Err(Error::input("there is no class to read: set `data.classes` to at least 1"));
    };
    let first = read_png(first_file)?;
    if (first.pixels.len() as u64).saturating_mul(files.len() as u64) > MAX_BYTES {
        return Err(bad_file(first_file, format!("{} images of this size take more than 8 GiB", files.len())));
    }
    // The first error in the order of files, whichever thread meets it first.
    let images = files.par_iter().map(|(_, file)| like(&first, first_file, read_png(file)?, file));
    let images = images.collect::<Vec<_>>().into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Dataset {
        images: images.concat(),
        labels: files.iter().map(|(class, _)| *class).collect(),
        channels: first.channels,
        height: first.height,
        width: first.width,
        classes,
    })
}

/// The pixels of `image` if it has the size of the first one.
fn like(first: &Image, first_file: &Path, image: Image, file: &Path) -> Result<Vec<u8>> {
    let size = |image: &Image| (image.channels, image.height, image.width);
    if size(&image) != size(first) {
        let [this, first] = [&image, first].map(|image| image_shape(size(image)));
        let reason = format!("is {this}, but `{}` is {first}: all must be alike", first_file.display());
        return Err(bad_file(file, reason));
    }
    Ok(image.pixels)
}

fn read_png(path: &Path) -> Result<Image> {
    let refuse = |error: std::io::Error| bad_file(path, format!("can't be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(refuse)?;
    if !metadata.is_file() {
        return Err(bad_file(path, "is not a file: the folder of a class holds only PNGs"));
    }
    if metadata.len() > MAX_FILE {
        return Err(bad_file(path, format!("has {} bytes, more than 128 MiB", metadata.len())));
    }
    let bytes = std::fs::read(path).map_err(refuse)?;
    if !bytes.starts_with(b"\x89PNG") {
        let reason = "is not a PNG: take it out, or set `data.size` for JPEG, WebP and images of several sizes";
        return Err(bad_file(path, reason));
    }
    Image::from_png(&bytes).map_err(|reason| bad_file(path, reason))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
