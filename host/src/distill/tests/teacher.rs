//! A teacher of toy images that counts its questions.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::Tensor;

use super::toy::SIDE;
use crate::Result;
use crate::backend::{Classifier, ClassifierInfo, Grades};

/// Compares the brightness of both halves.
pub struct Teacher {
    pub info: ClassifierInfo,
    /// How many images it was asked for.
    pub asked: AtomicU64,
    /// Added to every logit for each image of the batch: a teacher whose answer depends on the images beside.
    pub moody: f64,
}

impl Teacher {
    pub fn new(side: usize) -> Self {
        let info = ClassifierInfo {
            name: "halves".into(),
            version: "1".into(),
            licence: String::new(),
            network: None,
            classes: 2,
            channels: 1,
            height: side,
            width: side,
            features: None,
            deterministic: true,
            device: "cpu".into(),
            sha256: String::new(),
        };
        Self { info, asked: AtomicU64::new(0), moody: 0.0 }
    }

    /// Gives features too: the brightness of both halves and of the whole.
    pub fn with_features() -> Self {
        let mut teacher = Self::new(SIDE);
        teacher.info.features = Some(3);
        teacher
    }
}

impl Classifier for Teacher {
    fn info(&self) -> &ClassifierInfo {
        &self.info
    }

    fn classify(&self, images: &Tensor) -> Result<Grades> {
        let half = |start| images.narrow(3, start, SIDE / 2)?.flatten_from(1)?.sum(1);
        let logits = Tensor::stack(&[half(0)?, half(SIDE / 2)?], 1)?;
        let count = images.dim(0)? as u64;
        self.asked.fetch_add(count, Ordering::Relaxed);
        let logits = logits.affine(1.0 + self.moody * count as f64, 0.0)?;
        let features = match self.info.features {
            Some(_) => Some(Tensor::cat(&[&logits, &logits.sum_keepdim(1)?], 1)?),
            None => None,
        };
        Ok(Grades { logits, features })
    }
}
