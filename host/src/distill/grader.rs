//! The teacher's grades of exactly the images that the student sees.

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};

use super::arms::Arm;
use crate::Result;
use crate::backend::{Classifier, ClassifierInfo};
use crate::training::Augmented;

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

/// Asks the teacher. Where images are never varied, it is asked once for each of them.
pub struct Grader<'a> {
    teacher: &'a dyn Classifier,
    device: &'a Device,
    /// Whether features are kept.
    features: bool,
    /// Of all images.
    known: OnceLock<Graded>,
}

impl<'a> Grader<'a> {
    /// A grader for the images of one arm; with `features`, of these too.
    pub fn new(teacher: &'a dyn Classifier, device: &'a Device, features: bool) -> Self {
        Self { teacher, device, features, known: OnceLock::new() }
    }

    /// What is known about the teacher.
    pub fn teacher(&self) -> &ClassifierInfo {
        self.teacher.info()
    }

    /// The grades of a varied batch.
    pub fn grade(&self, batch: &Augmented) -> Result<Graded> {
        self.classify(&batch.images)
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
            let part = self.classify(&arm.data.batch(rows)?.0)?;
            all.logits.extend(part.logits);
            if let Some(features) = part.features {
                all.features.get_or_insert_default().extend(features);
            }
        }
        Ok(all)
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
