//! The teacher's logits of images that it has seen, kept on disk, so that it is asked once for each.
//!
//! The key of an image is the hash of the very pixels that the teacher is given: whatever varied it, the same seed and
//! settings make the same pixels, and nothing else does. Entries of one teacher lie in a folder of their own, in files
//! that are whole or absent. They are only ever added, in the order of the steps, and are on the disk before the resume
//! point of that step is: a run that goes on finds at each step what an unbroken one would have found.

mod segment;
mod stock;

use std::sync::Mutex;
use std::time::Instant;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::stock::Stock;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::run_dir::{RunDir, sha256_bytes};
use crate::{Context as _, Result};

/// The file with what the cache did in a run.
pub const USE_FILE: &str = "teacher-cache.json";

/// The first half of a SHA-256.
type Key = [u8; 16];

/// What the cache did for a run so far, over all students.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheUse {
    /// Images whose logits were there.
    pub hits: u64,
    /// Images that the teacher was asked for.
    pub misses: u64,
    /// The time that it took for them.
    pub seconds_asking: f64,
    /// The time that hashing and reading took.
    pub seconds_looking: f64,
    /// What asking for the hits would have taken at the teacher's mean pace, less the time for looking.
    pub seconds_saved: f64,
    /// On the disk for this teacher.
    pub bytes: u64,
    /// Images that were not kept because the bound was reached.
    pub left_out: u64,
}

/// The logits of one teacher that are kept for one run.
pub struct Cache<'a> {
    run: &'a RunDir,
    progress: &'a Progress,
    state: Mutex<State>,
}

struct State {
    stock: Stock,
    used: CacheUse,
}

impl<'a> Cache<'a> {
    /// Opens what is kept for the plan's teacher, with so many features behind the logits; `None` where the plan wants no
    /// cache.
    pub fn open(plan: &Plan, run: &'a RunDir, progress: &'a Progress, features: Option<usize>) -> Result<Option<Self>> {
        let Some(wanted) = &plan.distill.cache else { return Ok(None) };
        let folder = wanted.folder.clone().unwrap_or_else(|| run.join("cache"));
        let most = wanted.size_mib << 20;
        let teacher = plan.teacher_key();
        let (teacher, width) = match features {
            None => (teacher, plan.data.classes),
            Some(features) => {
                (sha256_bytes(format!("{teacher} {features} features").as_bytes()), plan.data.classes + features)
            }
        };
        let stock = Stock::open(&folder, &teacher, width, most, progress)
            .context(format_args!("`distill.cache` in `{}`", folder.display()))?;
        let used = run.read_json(USE_FILE)?.unwrap_or_default();
        Ok(Some(Self { run, progress, state: Mutex::new(State { stock, used }) }))
    }

    /// The answers for images f32 `[n, …]`, row by row: those that are kept, and `ask`'s answer for the others, which may
    /// see fewer images than there are here.
    pub fn answer(&self, images: &Tensor, ask: impl FnOnce(&Tensor) -> Result<Vec<f32>>) -> Result<Vec<f32>> {
        let started = Instant::now();
        let keys = keys(images)?;
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut rows: Vec<Option<Vec<f32>>> = keys.iter().map(|key| state.stock.get(key)).collect();
        let missing: Vec<u32> = (0..rows.len()).filter(|&row| rows[row].is_none()).map(|row| row as u32).collect();
        let mut looking = started.elapsed().as_secs_f64();
        let hits = (rows.len() - missing.len()) as u64;
        if !missing.is_empty() {
            let asked = Instant::now();
            let shown = if hits == 0 { images.clone() } else { take(images, &missing)? };
            let answer = ask(&shown)?;
            let seconds = asked.elapsed().as_secs_f64();
            let adding = Instant::now();
            let width = answer.len() / missing.len();
            let fresh: Vec<Key> = missing.iter().map(|&row| keys[row as usize]).collect();
            let kept = state.stock.add(&fresh, &answer, seconds);
            for (&row, logits) in missing.iter().zip(answer.chunks_exact(width.max(1))) {
                rows[row as usize] = Some(logits.to_vec());
            }
            state.used.misses += missing.len() as u64;
            state.used.seconds_asking += seconds;
            state.used.left_out += if kept { 0 } else { missing.len() as u64 };
            if state.stock.is_due() {
                self.flush(&mut state);
            }
            looking += adding.elapsed().as_secs_f64();
        }
        let pace = state.stock.seconds_an_image();
        state.used.hits += hits;
        state.used.seconds_looking += looking;
        state.used.seconds_saved += hits as f64 * pace - looking;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// Puts what was added since onto the disk, before a resume point that counts on it. Files of answers that can't be
    /// written are no reason to stop: it is said once, and from then on nothing is added.
    pub fn keep(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.flush(&mut state);
        state.used.bytes = state.stock.bytes();
        self.run.write_json(USE_FILE, &state.used)
    }

    fn flush(&self, state: &mut State) {
        if let Err(error) = state.stock.flush() {
            self.progress.warn(format_args!("the teacher's answers can't be kept any more: {error}"));
        }
    }
}

fn keys(images: &Tensor) -> Result<Vec<Key>> {
    let images = images.to_device(&Device::Cpu)?;
    let rows = images.dim(0)?;
    let values = images.flatten_all()?.to_vec1::<f32>()?;
    let each = (values.len() / rows.max(1)).max(1);
    let hash = |image: &[f32]| {
        let mut hasher = Sha256::new();
        let mut bytes = [0; 4096];
        for values in image.chunks(bytes.len() / 4) {
            bytes.chunks_exact_mut(4).zip(values).for_each(|(to, value)| to.copy_from_slice(&value.to_le_bytes()));
            hasher.update(&bytes[..4 * values.len()]);
        }
        let mut key = Key::default();
        key.copy_from_slice(&hasher.finalize()[..size_of::<Key>()]);
        key
    };
    Ok(values.par_chunks(each).map(hash).collect())
}

/// These rows of the images.
fn take(images: &Tensor, rows: &[u32]) -> Result<Tensor> {
    Ok(images.index_select(&Tensor::new(rows, images.device())?, 0)?)
}

#[cfg(test)]
mod tests;
