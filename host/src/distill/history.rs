//! What a training has seen of each image so far: columns for policies that learn from it, in this training and, from the
//! file that a training leaves behind, in the selection of a later one.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use limbeck_models::checkpoint::{self, Checkpoint};

use crate::policy::{Column, Grade, divergence};
use crate::{Error, Result};

/// The prefix of the tensors in a resume point.
const PREFIX: &str = "history.";

/// What is counted of each image; every vector has one entry an image, every sum over the steps that saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    class: Vec<u32>,
    seen: Vec<f64>,
    loss: Vec<f64>,
    loss_sum: Vec<f64>,
    kl: Vec<f64>,
    lag: Vec<f64>,
    correct: Vec<f64>,
    forgotten: Vec<f64>,
    margin_sum: Vec<f64>,
    p_sum: Vec<f64>,
    p_squares: Vec<f64>,
    /// By class: images, images seen at least once, and the sums of the latest losses and lags of these.
    class_count: Vec<f64>,
    class_seen: Vec<f64>,
    class_loss: Vec<f64>,
    class_lag: Vec<f64>,
}

impl History {
    /// Of images of these classes, none seen yet.
    pub fn new(class: &[u32], classes: usize) -> Self {
        let mut history = Self { class: class.to_vec(), ..Self::default() };
        history.of_images().into_iter().for_each(|(_, values)| *values = vec![0.0; class.len()]);
        history.of_classes().into_iter().for_each(|(_, values)| *values = vec![0.0; classes]);
        class.iter().for_each(|&class| history.class_count[class as usize] += 1.0);
        history
    }

    fn of_images(&mut self) -> [(&'static str, &mut Vec<f64>); 10] {
        [
            ("seen", &mut self.seen),
            ("loss", &mut self.loss),
            ("loss-sum", &mut self.loss_sum),
            ("kl", &mut self.kl),
            ("lag", &mut self.lag),
            ("correct", &mut self.correct),
            ("forgotten", &mut self.forgotten),
            ("margin-sum", &mut self.margin_sum),
            ("p-sum", &mut self.p_sum),
            ("p-squares", &mut self.p_squares),
        ]
    }

    fn of_classes(&mut self) -> [(&'static str, &mut Vec<f64>); 4] {
        [
            ("class-count", &mut self.class_count),
            ("class-seen", &mut self.class_seen),
            ("class-loss", &mut self.class_loss),
            ("class-lag", &mut self.class_lag),
        ]
    }

    /// A step saw these images, or mixed ones that they have the larger share of; logits are rows × C at temperature 1. Rows whose logits are not finite are passed over:
    /// the loss tells of them.
    pub fn add(&mut self, rows: &[usize], teacher: &[f32], student: &[f32]) {
        let classes = self.class_count.len();
        let logits = teacher.chunks_exact(classes).zip(student.chunks_exact(classes));
        for (&row, (teacher, student)) in rows.iter().zip(logits) {
            let class = self.class[row] as usize;
            let (Some(p), Some(q)) = (Grade::of(teacher, class), Grade::of(student, class)) else { continue };
            let kl = divergence(teacher, &p, student, &q);
            let lag = p.p_class - q.p_class;
            if self.seen[row] == 0.0 {
                self.class_seen[class] += 1.0;
            }
            self.class_loss[class] += q.loss - self.loss[row];
            self.class_lag[class] += lag - self.lag[row];
            self.forgotten[row] += f64::from(u8::from(self.correct[row] > 0.0 && !q.correct));
            self.correct[row] = f64::from(u8::from(q.correct));
            self.seen[row] += 1.0;
            self.loss[row] = q.loss;
            self.loss_sum[row] += q.loss;
            self.kl[row] = kl;
            self.lag[row] = lag;
            self.margin_sum[row] += margin(student, class);
            self.p_sum[row] += q.p_class;
            self.p_squares[row] += q.p_class * q.p_class;
        }
    }

    /// The columns of these images; see `limbeck_policy::column` for their meaning.
    pub fn columns(&self, rows: &[usize]) -> Vec<Column> {
        let mut columns = self.of_rows(rows);
        let by_class = |name, value: &dyn Fn(usize) -> f64| {
            Column::f32s(name, 1, rows.iter().map(|&row| value(self.class[row] as usize) as f32).collect())
        };
        let mean = |sum: &[f64], class: usize| sum[class] / self.class_seen[class].max(1.0);
        columns.push(Column::u64s(
            "class.count",
            rows.iter().map(|&row| self.class_count[self.class[row] as usize] as u64).collect(),
        ));
        columns.push(by_class("class.loss", &|class| mean(&self.class_loss, class)));
        columns.push(by_class("class.lag", &|class| mean(&self.class_lag, class)));
        columns
    }

    fn of_rows(&self, rows: &[usize]) -> Vec<Column> {
        let float = |name, value: &dyn Fn(usize) -> f64| {
            Column::f32s(name, 1, rows.iter().map(|&row| value(row) as f32).collect())
        };
        let whole = |name, values: &[f64]| Column::u64s(name, rows.iter().map(|&row| values[row] as u64).collect());
        let mean = |sum: &[f64], row: usize| sum[row] / self.seen[row].max(1.0);
        let std = |row| (mean(&self.p_squares, row) - mean(&self.p_sum, row).powi(2)).max(0.0).sqrt();
        vec![
            whole("history.seen", &self.seen),
            whole("history.forgotten", &self.forgotten),
            float("history.loss", &|row| self.loss[row]),
            float("history.mean-loss", &|row| mean(&self.loss_sum, row)),
            float("history.kl", &|row| self.kl[row]),
            float("history.margin", &|row| mean(&self.margin_sum, row)),
            float("history.p-class", &|row| mean(&self.p_sum, row)),
            float("history.p-class-std", &std),
        ]
    }

    /// For a resume point.
    pub fn save(&self, tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
        let mut copy = self.clone();
        for (name, values) in copy.of_images() {
            tensors.insert(format!("{PREFIX}{name}"), Tensor::new(values.as_slice(), &Device::Cpu)?);
        }
        for (name, values) in copy.of_classes() {
            tensors.insert(format!("{PREFIX}{name}"), Tensor::new(values.as_slice(), &Device::Cpu)?);
        }
        Ok(())
    }

    /// Takes back what [`Self::save`] gave.
    pub fn restore(&mut self, file: &Checkpoint) -> Result<()> {
        let find = |name: &str, length: usize| {
            let found = file.tensors.get(&format!("{PREFIX}{name}")).and_then(|tensor| tensor.to_vec1::<f64>().ok());
            found
                .filter(|values| values.len() == length)
                .ok_or_else(|| Error::input(format!("it has no `{PREFIX}{name}` of {length}")))
        };
        for (name, values) in self.of_images() {
            *values = find(name, values.len())?;
        }
        for (name, values) in self.of_classes() {
            *values = find(name, values.len())?;
        }
        Ok(())
    }

    /// The bytes of the file that a finished training leaves: the columns of every image, and the images' ids.
    pub fn to_bytes(&self, ids: &[u64]) -> Result<Vec<u8>> {
        let rows: Vec<usize> = (0..ids.len()).collect();
        let mut tensors = BTreeMap::new();
        for column in self.of_rows(&rows) {
            tensors.insert(column.name().to_owned(), Tensor::new(column.to_f64s(), &Device::Cpu)?);
        }
        let ids: Vec<i64> = ids.iter().map(|&id| id as i64).collect();
        tensors.insert("id".to_owned(), Tensor::new(ids, &Device::Cpu)?);
        Ok(checkpoint::to_bytes(&tensors, &BTreeMap::new())?)
    }
}

/// `z_y − max_{k≠y} z_k`: the area under the margin is its mean over training (Pleiss, Zhang, Elenberg and Weinberger,
/// NeurIPS 2020, eq. 1).
fn margin(logits: &[f32], class: usize) -> f64 {
    let others = logits.iter().enumerate().filter(|&(k, _)| k != class).map(|(_, &logit)| f64::from(logit));
    let best = others.fold(f64::NEG_INFINITY, f64::max);
    if best.is_finite() { f64::from(logits[class]) - best } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes; the student's logit of class 0 over class 1.
    fn step(history: &mut History, row: usize, student: f32) {
        history.add(&[row], &[4.0, 0.0], &[student, 0.0]);
    }

    fn f32_of(history: &History, row: usize, name: &str) -> f64 {
        let columns = history.columns(&[row]);
        columns.iter().find(|column| column.name() == name).unwrap_or_else(|| panic!("no {name}")).to_f64s()[0]
    }

    #[test]
    fn forgetting_is_a_fall_from_right_to_wrong() {
        let mut history = History::new(&[0, 1], 2);
        for student in [-1.0, 2.0, -1.0, -1.0, 2.0, -1.0] {
            step(&mut history, 0, student);
        }
        assert_eq!(f32_of(&history, 0, "history.forgotten"), 2.0);
        assert_eq!(f32_of(&history, 0, "history.seen"), 6.0);
        assert_eq!(f32_of(&history, 1, "history.seen"), 0.0);
        assert_eq!(f32_of(&history, 0, "history.margin"), 0.0);
    }

    #[test]
    fn means_are_over_what_was_seen_and_classes_over_the_latest() {
        let mut history = History::new(&[0, 0, 1], 2);
        step(&mut history, 0, 0.0);
        step(&mut history, 0, 100.0);
        step(&mut history, 1, 0.0);
        let ln2 = std::f64::consts::LN_2;
        assert!((f32_of(&history, 0, "history.mean-loss") - ln2 / 2.0).abs() < 1e-6);
        assert!((f32_of(&history, 0, "history.p-class") - 0.75).abs() < 1e-6);
        assert!((f32_of(&history, 0, "history.p-class-std") - 0.25).abs() < 1e-6);
        // The latest losses are 0 and ln 2.
        assert!((f32_of(&history, 1, "class.loss") - ln2 / 2.0).abs() < 1e-6);
        assert_eq!((f32_of(&history, 1, "class.count"), f32_of(&history, 2, "class.count")), (2.0, 1.0));
        assert_eq!(f32_of(&history, 2, "class.loss"), 0.0);
    }

    #[test]
    fn a_history_survives_a_resume_point() {
        let mut history = History::new(&[0, 1, 0], 2);
        (0..7).for_each(|i| step(&mut history, i % 3, i as f32 - 3.0));
        let mut tensors = BTreeMap::new();
        history.save(&mut tensors).unwrap();
        let file = checkpoint::parse(&checkpoint::to_bytes(&tensors, &BTreeMap::new()).unwrap(), "x").unwrap();
        let mut back = History::new(&[0, 1, 0], 2);
        back.restore(&file).unwrap();
        assert_eq!(back, history);
        assert!(History::new(&[0], 2).restore(&file).is_err());
    }
}
