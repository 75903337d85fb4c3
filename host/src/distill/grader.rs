//! The teacher's logits of exactly the images that the student sees.

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};

use super::arms::Arm;
use crate::Result;
use crate::backend::Classifier;
use crate::training::Augmented;

/// Images graded at a time when all of them are.
const BATCH: usize = 250;

/// Asks the teacher. Where images are never varied, it is asked once for each of them.
pub struct Grader<'a> {
    teacher: &'a dyn Classifier,
    device: &'a Device,
    /// All images' logits, row by row.
    known: OnceLock<Vec<f32>>,
}

impl<'a> Grader<'a> {
    /// A grader for the images of one arm.
    pub fn new(teacher: &'a dyn Classifier, device: &'a Device) -> Self {
        Self { teacher, device, known: OnceLock::new() }
    }

    /// The logits of a varied batch, row by row.
    pub fn grade(&self, batch: &Augmented) -> Result<Vec<f32>> {
        self.classify(&batch.images)
    }

    /// The logits of the unvaried images at `rows`, row by row.
    pub fn look_up(&self, arm: &Arm, rows: &[usize]) -> Result<Vec<f32>> {
        let known = match self.known.get() {
            Some(known) => known,
            None => {
                let all = self.grade_all(arm)?;
                self.known.get_or_init(|| all)
            }
        };
        let classes = self.teacher.info().classes;
        Ok(rows.iter().flat_map(|&row| &known[row * classes..][..classes]).copied().collect())
    }

    fn grade_all(&self, arm: &Arm) -> Result<Vec<f32>> {
        let rows: Vec<usize> = (0..arm.data.len()).collect();
        let mut all = Vec::with_capacity(rows.len() * self.teacher.info().classes);
        for rows in rows.chunks(BATCH) {
            all.extend(self.classify(&arm.data.batch(rows)?.0)?);
        }
        Ok(all)
    }

    fn classify(&self, images: &Tensor) -> Result<Vec<f32>> {
        let grades = self.teacher.classify(&images.to_device(self.device)?)?;
        Ok(grades.logits.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }
}
