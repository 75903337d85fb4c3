//! The teacher's grades of exactly the images that the student sees.

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};

use super::arms::Arm;
use super::cache::Cache;
use crate::backend::{Classifier, ClassifierInfo};
use crate::training::Augmented;
use crate::{Error, Result};

/// Images graded at a time when all of them are.
const BATCH: usize = 250;

/// What the teacher says about some images, row by row.
#[derive(Clone, Debug, Default)]
pub struct Graded {
    /// `[n, classes]`.
    pub logits: Vec<f32>,
    /// `[n, features]`, where they are wanted.
    pub features: Option<Vec<f32>>,
}

impl Graded {
    /// Each image's logits with its features behind them, as they are kept.
    fn joined(self, classes: usize, width: Option<usize>) -> Result<Vec<f32>> {
        let Some(width) = width else { return Ok(self.logits) };
        let features = self.features.ok_or_else(|| Error::failed("the teacher gave no features"))?;
        let rows = self.logits.chunks_exact(classes).zip(features.chunks_exact(width));
        Ok(rows.flat_map(|(logits, features)| logits.iter().chain(features)).copied().collect())
    }

    /// What [`Self::joined`] made.
    fn parted(rows: Vec<f32>, classes: usize, width: Option<usize>) -> Self {
        let Some(width) = width else { return Self { logits: rows, features: None } };
        let part = |from: usize, to: usize| {
            rows.chunks_exact(classes + width).flat_map(|row| &row[from..to]).copied().collect::<Vec<f32>>()
        };
        Self { logits: part(0, classes), features: Some(part(classes, classes + width)) }
    }
}

/// Asks the teacher. Where images are never varied, it is asked once for each of them.
pub struct Grader<'a> {
    teacher: &'a dyn Classifier,
    device: &'a Device,
    /// Whether features are kept.
    features: bool,
    /// What the teacher said before, in this run or another.
    cache: Option<&'a Cache<'a>>,
    /// Of all images.
    known: OnceLock<Graded>,
}

impl<'a> Grader<'a> {
    /// A grader for the images of one arm; with `features`, of these too.
    pub fn new(teacher: &'a dyn Classifier, device: &'a Device, features: bool, cache: Option<&'a Cache<'a>>) -> Self {
        Self { teacher, device, features, cache, known: OnceLock::new() }
    }

    /// Puts what the teacher said onto the disk, before a resume point that counts on it.
    pub fn keep(&self) -> Result<()> {
        self.cache.map_or(Ok(()), Cache::keep)
    }

    /// What is known about the teacher.
    pub fn teacher(&self) -> &ClassifierInfo {
        self.teacher.info()
    }

    /// The grades of a varied batch.
    pub fn grade(&self, batch: &Augmented) -> Result<Graded> {
        self.graded(&batch.images)
    }

    /// The grades of the unvaried images at `rows`.
    pub fn look_up(&self, arm: &Arm, rows: &[usize]) -> Result<Graded> {
        let known = match self.known.get() {
            Some(known) => known,
            None => {
                let all = self.grade_all(arm)?;
                self.known.get_or_init(|| all)
            }
        };
        let pick = |all: &[f32]| {
            let width = all.len() / arm.data.len().max(1);
            rows.iter().flat_map(|&row| &all[row * width..][..width]).copied().collect()
        };
        Ok(Graded { logits: pick(&known.logits), features: known.features.as_deref().map(pick) })
    }

    fn grade_all(&self, arm: &Arm) -> Result<Graded> {
        let rows: Vec<usize> = (0..arm.data.len()).collect();
        let mut all = Graded::default();
        for rows in rows.chunks(BATCH) {
            let part = self.graded(&arm.data.batch(rows)?.0)?;
            all.logits.extend(part.logits);
            if let Some(features) = part.features {
                all.features.get_or_insert_default().extend(features);
            }
        }
        Ok(all)
    }

    fn graded(&self, images: &Tensor) -> Result<Graded> {
        let Some(cache) = self.cache else { return self.classify(images) };
        let info = self.teacher.info();
        let width = info.features.filter(|_| self.features);
        let rows = cache.answer(images, |images| self.classify(images)?.joined(info.classes, width))?;
        Ok(Graded::parted(rows, info.classes, width))
    }

    fn classify(&self, images: &Tensor) -> Result<Graded> {
        let grades = self.teacher.classify(&images.to_device(self.device)?)?;
        let values = |tensor: &Tensor| -> Result<Vec<f32>> {
            Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
        };
        let features = grades.features.as_ref().filter(|_| self.features).map(values).transpose()?;
        Ok(Graded { logits: values(&grades.logits)?, features })
    }
}
