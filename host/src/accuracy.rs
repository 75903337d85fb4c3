//! How often a classifier is right on a labelled data set, and how it errs.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::progress::Bar;
use crate::{Context as _, Error, Result};

/// What a classifier does on a data set. Accuracies are fractions from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How many images were classified.
    pub images: usize,
    /// The share of images whose class has the highest logit.
    pub top1: f64,
    /// The share of images whose class is among the five highest logits.
    pub top5: f64,
    /// The top-1 accuracy on the images of each class; `None` for a class without images.
    pub per_class: Vec<Option<f64>>,
    /// How many images of class `row` were taken for class `column`.
    pub confusion: Vec<Vec<u64>>,
}

/// Classifies every image of `data`, `batch` at a time, and advances `bar` by the images done.
///
/// `forward` takes images f32 `[n, channels, height, width]` in `[0, 1]` on the CPU and gives logits `[n, classes]`. Of
/// two equal logits the lower class counts as the higher. Fails when `data` is empty, when the logits have another shape,
/// and when one is not a number.
pub fn evaluate(
    forward: &dyn Fn(&Tensor) -> Result<Tensor>,
    data: &Dataset,
    batch: usize,
    bar: &Bar,
) -> Result<Evaluation> {
    let mut tally = Tally::new(data.classes);
    let rows = (0..data.len()).collect::<Vec<_>>();
    for rows in rows.chunks(batch.max(1)) {
        let (images, labels) = data.batch(rows)?;
        let logits = logits(&forward(&images)?, rows.len(), data.classes)?;
        for ((row, logits), label) in rows.iter().zip(&logits).zip(labels) {
            tally.add(logits, label as usize).context(format_args!("test image {row}"))?;
        }
        bar.advance(rows.len() as u64);
    }
    tally.finish()
}

/// The class of the highest logit, the lower of equals.
pub fn arg_max(logits: &[f32]) -> usize {
    let higher =
        |best: (usize, f32), (class, &logit): (usize, &f32)| if logit > best.1 { (class, logit) } else { best };
    logits.iter().enumerate().fold((0, f32::NEG_INFINITY), higher).0
}

/// The logits as rows on the CPU.
fn logits(tensor: &Tensor, rows: usize, classes: usize) -> Result<Vec<Vec<f32>>> {
    if tensor.dims() != [rows, classes] {
        return Err(Error::input(format!(
            "the classifier gave logits of shape {:?}, the data set needs {:?}: it was made for other classes",
            tensor.dims(),
            [rows, classes]
        )));
    }
    Ok(tensor.to_dtype(candle_core::DType::F32)?.to_vec2()?)
}

struct Tally {
    top5: usize,
    confusion: Vec<Vec<u64>>,
}

impl Tally {
    fn new(classes: usize) -> Self {
        Self { top5: 0, confusion: vec![vec![0; classes]; classes] }
    }

    fn add(&mut self, logits: &[f32], label: usize) -> Result<()> {
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(Error::diverged("the classifier gave a logit that is not a number"));
        }
        let beats = |a: usize, b: usize| logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
        let rank = (0..logits.len()).filter(|&other| beats(other, label)).count();
        let predicted = (0..logits.len()).reduce(|best, other| if beats(other, best) { other } else { best });
        self.top5 += usize::from(rank < 5);
        self.confusion[label][predicted.unwrap_or(label)] += 1;
        Ok(())
    }

    fn finish(self) -> Result<Evaluation> {
        let total = self.confusion.iter().flatten().sum::<u64>();
        if total == 0 {
            return Err(Error::input("there is no image to evaluate on: see `data.test`"));
        }
        let right = self.confusion.iter().enumerate().map(|(class, row)| row[class]).sum::<u64>();
        let share = |(class, row): (usize, &Vec<u64>)| match row.iter().sum::<u64>() {
            0 => None,
            all => Some(row[class] as f64 / all as f64),
        };
        Ok(Evaluation {
            images: total as usize,
            top1: right as f64 / total as f64,
            top5: self.top5 as f64 / total as f64,
            per_class: self.confusion.iter().enumerate().map(share).collect(),
            confusion: self.confusion,
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::progress::{Mode, Progress};

    fn data(labels: &[u32], classes: usize) -> Dataset {
        let images = labels.iter().map(|&label| label as u8).collect();
        Dataset { images, labels: labels.to_vec(), channels: 1, height: 1, width: 1, classes }
    }

    fn bar() -> Bar {
        Progress::new(Mode::Quiet).stage("test", 1, "images")
    }

    /// A classifier that reads `answers[first pixel]` as logits.
    fn answer(answers: Vec<Vec<f32>>) -> impl Fn(&Tensor) -> Result<Tensor> {
        move |images| {
            let keys = images.flatten_all()?.to_vec1::<f32>()?;
            let rows = keys.iter().map(|key| answers[(key * 255.0).round() as usize].clone()).collect::<Vec<_>>();
            Ok(Tensor::new(rows, &Device::Cpu)?)
        }
    }

    #[test]
    fn counts_what_is_right_and_where_it_errs() {
        let answers = vec![vec![3., 1., 2.], vec![5., 1., 0.], vec![0., 0., 1.]];
        let found = evaluate(&answer(answers), &data(&[0, 1, 2, 2, 1], 3), 2, &bar()).unwrap();
        assert_eq!((found.images, found.top1, found.top5), (5, 0.6, 1.0));
        assert_eq!(found.per_class, [Some(1.0), Some(0.0), Some(1.0)]);
        assert_eq!(found.confusion, [[1, 0, 0], [2, 0, 0], [0, 0, 2]]);
    }

    #[test]
    fn of_equal_logits_the_lower_class_wins() {
        let found = evaluate(&answer(vec![vec![1.; 7]; 7]), &data(&[0, 1, 2, 3, 4, 5, 6], 7), 3, &bar()).unwrap();
        assert_eq!((found.top1, found.top5), (1. / 7., 5. / 7.));
    }

    #[test]
    fn a_class_without_images_has_no_accuracy() {
        let found = evaluate(&answer(vec![vec![1., 0.]]), &data(&[0], 2), 8, &bar()).unwrap();
        assert_eq!(found.per_class, [Some(1.0), None]);
    }

    #[test]
    fn wrong_shapes_and_diverged_networks_are_refused() {
        let message =
            |answers, labels: &[u32]| evaluate(&answer(answers), &data(labels, 2), 8, &bar()).unwrap_err().to_string();
        assert!(message(vec![vec![1., 0., 0.]], &[0]).contains("logits of shape [1, 3], the data set needs [1, 2]"));
        assert!(message(vec![vec![1., 0.], vec![f32::NAN, 0.]], &[0, 1]).contains("test image 1: "));
        assert!(message(vec![], &[]).contains("no image to evaluate on"));
    }
}
