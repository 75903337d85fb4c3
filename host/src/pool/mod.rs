//! The pool: every image that was drawn, with its provenance, in WebDataset shards that are only ever added.

mod contact_sheet;
mod index;
mod sample;
mod shard;

use std::collections::BTreeSet;

use rayon::prelude::*;

pub use contact_sheet::contact_sheet;
pub use sample::{Image, Provenance, Sample};

use crate::data::Dataset;
use crate::run_dir::{RunDir, sha256_bytes};
use crate::words::image_shape;
use crate::{Error, Result};
use index::{Entry, Index};

/// The folder of a round in the run directory.
pub fn round_dir(round: u32) -> String {
    format!("pool/round-{round:03}")
}

fn shard_name(shard: u32) -> String {
    format!("{shard:06}.tar")
}

/// Writes `pool/round-RRR/SSSSSS.tar` and then enters it in `index.json`, each by renaming a finished file.
///
/// The same samples give the same bytes, in whatever order they come. One thread at a time may write to a round. Fails on
/// an empty shard, on two samples of one id, and when the disk does.
pub fn write_shard(run: &RunDir, round: u32, shard: u32, samples: &[Sample]) -> Result<()> {
    let (dir, name) = (round_dir(round), shard_name(shard));
    let bytes = shard::encode(samples)?;
    run.write_atomic(&format!("{dir}/{name}"), &bytes)?;
    let mut index = Index::read(run, &dir)?.unwrap_or_default();
    index.shards.insert(name, Entry { samples: samples.len(), sha256: sha256_bytes(&bytes) });
    index.write(run, &dir)
}

/// Whether this shard is finished: in the index, with `expected` samples, and with the bytes that were written.
///
/// A shard that the index doesn't know yet is not done, even if its file is there: it is drawn and written again. One that
/// was finished and has changed since is refused, as it may be somebody's work.
pub fn shard_done(run: &RunDir, round: u32, shard: u32, expected: usize) -> Result<bool> {
    let (dir, name) = (round_dir(round), shard_name(shard));
    let Some(index) = Index::read(run, &dir)? else { return Ok(false) };
    let Some(entry) = index.shards.get(&name) else { return Ok(false) };
    let path = run.join(&format!("{dir}/{name}"));
    if !path.exists() {
        return Ok(false);
    }
    if entry.samples != expected {
        return Err(Error::input(format!(
            "`{}` holds {} samples, the plan says {expected}: take another output directory, or delete `{}` to draw the \
             round again",
            path.display(),
            entry.samples,
            run.join(&dir).display(),
        )));
    }
    entry.bytes(&path).map(|_| true)
}

/// Every sample of one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// In the order of ids; all images have the same size.
    pub samples: Vec<Sample>,
}

impl Pool {
    /// Reads a whole round. A missing, unknown or damaged shard is refused by name, place and remedy.
    pub fn read(run: &RunDir, round: u32) -> Result<Pool> {
        let dir = round_dir(round);
        let folder = run.join(&dir);
        let index = Index::read(run, &dir)?.filter(|index| !index.shards.is_empty()).ok_or_else(|| {
            Error::input(format!(
                "`{}` has no finished shard: `limbeck run` with the run's recipe draws them",
                folder.display()
            ))
        })?;
        index.check_names(&folder)?;
        let shards = index.shards.par_iter().map(|(name, entry)| {
            let path = folder.join(name);
            shard::decode(&path.display().to_string(), &entry.bytes(&path)?, entry.samples)
        });
        let shards = shards.collect::<Vec<_>>().into_iter().collect::<Result<Vec<_>>>()?;
        let mut samples = shards.concat();
        samples.sort_by_key(|sample| sample.id);
        check(&samples).map_err(|error| error.context(folder.display()))?;
        Ok(Pool { samples })
    }

    /// The images as a data set, in the order of ids. [`Dataset::batch`] refuses a class that is not below `classes`.
    pub fn to_dataset(&self, classes: usize) -> Dataset {
        let shape = self.samples.first().map(|sample| &sample.image);
        let (channels, height, width) = shape.map_or((0, 0, 0), |image| (image.channels, image.height, image.width));
        Dataset {
            images: self.samples.iter().flat_map(|sample| sample.image.pixels.iter().copied()).collect(),
            labels: self.samples.iter().map(|sample| sample.class).collect(),
            channels,
            height,
            width,
            classes,
        }
    }
}

/// That ids are unique and images alike.
fn check(samples: &[Sample]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for sample in samples {
        if !seen.insert(sample.id) {
            return Err(Error::input(format!("two samples have the id {}", sample.id)));
        }
        let [first, this] = [&samples[0].image, &sample.image].map(|image| (image.channels, image.height, image.width));
        if first != this {
            return Err(Error::input(format!(
                "sample {} is {}, sample {} is {}: the round was drawn by two generators",
                samples[0].id,
                image_shape(first),
                sample.id,
                image_shape(this),
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
