//! What is known of the images from elsewhere: what a finished student says of them, what an earlier training saw of
//! them, and scores that another program gave.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use limbeck_models::checkpoint;

use crate::plan::Plan;
use crate::policy::Column;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::student::Student;
use crate::{Context as _, Error, Result};

/// Images that the student sees at once.
const BATCH: usize = 200;

/// Columns beyond the teacher's and the pool's own.
#[derive(Default)]
pub struct Known {
    /// Logits, n × classes.
    pub student: Option<Vec<f32>>,
    pub columns: Vec<Column>,
}

/// What the plan's files say of the images of a pool. An empty pool shows which columns there will be.
pub fn known(plan: &Plan, pool: &Pool, progress: &Progress) -> Result<Known> {
    let mut known = Known::default();
    if let Some(path) = &plan.select.student {
        let (logits, features) =
            ask_student(path, plan.data.classes, pool, progress).context("the student of `select.student`")?;
        known.student = Some(logits);
        known.columns.push(features);
    }
    let ids: Vec<u64> = pool.samples.iter().map(|sample| sample.id).collect();
    if let Some(path) = &plan.select.history {
        known.columns.extend(history(path, &ids).context("the history of `select.history`")?);
    }
    if let Some(path) = &plan.select.external {
        known.columns.push(external(path, &ids).context("the scores of `select.external`")?);
    }
    Ok(known)
}

/// Logits and the column `student.features`.
fn ask_student(path: &Path, classes: usize, pool: &Pool, progress: &Progress) -> Result<(Vec<f32>, Column)> {
    let student = Student::load(path, &Device::Cpu).context(format_args!("`{}`", path.display()))?;
    if student.classes() != classes {
        return Err(Error::input(format!(
            "it tells {} classes apart, `data.classes` is {classes}: name a student of these classes",
            student.classes()
        )));
    }
    let (mut logits, mut features, mut width) = (Vec::new(), Vec::new(), 1);
    if !pool.samples.is_empty() {
        let images = pool.to_dataset(classes);
        let bar = progress.stage("ask the student", images.len() as u64, "images");
        let rows: Vec<usize> = (0..images.len()).collect();
        for rows in rows.chunks(BATCH) {
            let output = student.forward(&images.batch(rows)?.0)?;
            logits.extend(output.logits.flatten_all()?.to_vec1::<f32>()?);
            width = output.features.dim(1)?;
            features.extend(output.features.flatten_all()?.to_vec1::<f32>()?);
            bar.advance(rows.len() as u64);
        }
        bar.finish();
    }
    Ok((logits, Column::f32s("student.features", width, features)))
}

/// The columns of the file, in the order of `ids`.
fn history(path: &Path, ids: &[u64]) -> Result<Vec<Column>> {
    const WHOLE: [&str; 2] = ["history.seen", "history.forgotten"];
    let file = checkpoint::load(path)?;
    let none = || Error::input("it is not a file that `limbeck distill` wrote under history/");
    let numbers = |tensor: &Tensor| Ok::<_, Error>(tensor.to_dtype(DType::F64)?.to_vec1::<f64>()?);
    let place: HashMap<u64, usize> = match file.tensors.get("id") {
        Some(id) => numbers(id)?.into_iter().enumerate().map(|(row, id)| (id as u64, row)).collect(),
        None => return Err(none()),
    };
    let rows = ids.iter().map(|id| {
        place.get(id).copied().ok_or_else(|| {
            Error::input(format!(
                "it knows nothing of image {id}: take the history of a training over all of these images"
            ))
        })
    });
    let rows: Vec<usize> = rows.collect::<Result<_>>()?;
    let mut columns = Vec::new();
    for (name, tensor) in file.tensors.iter().filter(|(name, _)| name.starts_with("history.")) {
        let all = numbers(tensor)?;
        if all.len() != place.len() {
            return Err(none());
        }
        let values = rows.iter().map(|&row| all[row]);
        columns.push(if WHOLE.contains(&name.as_str()) {
            Column::u64s(name, values.map(|value| value as u64).collect())
        } else {
            Column::f32s(name, 1, values.map(|value| value as f32).collect())
        });
    }
    if columns.is_empty() { Err(none()) } else { Ok(columns) }
}

/// The column `external` from lines `id,score`; a first line of words is passed over.
fn external(path: &Path, ids: &[u64]) -> Result<Column> {
    let text = fs_err::read_to_string(path).map_err(|error| Error::input(error.to_string()))?;
    let mut scores = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let pair = line.split_once(',').and_then(|(id, score)| {
            let score = score.trim().parse::<f32>().ok().filter(|score| score.is_finite())?;
            Some((id.trim().parse::<u64>().ok()?, score))
        });
        match pair {
            Some((id, score)) => {
                if scores.insert(id, score).is_some() {
                    return Err(Error::input(format!("line {} names image {id} again", number + 1)));
                }
            }
            None if number == 0 => {}
            None => return Err(Error::input(format!("line {} is not `id,score`: {line}", number + 1))),
        }
    }
    let score = |id: &u64| {
        scores
            .get(id)
            .copied()
            .ok_or_else(|| Error::input(format!("there is no score of image {id}: score all of them")))
    };
    Ok(Column::f32s("external", 1, ids.iter().map(score).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(text: &str, ids: &[u64]) -> Result<Vec<f64>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        external(file.path(), ids).map(|column| column.to_f64s())
    }

    #[test]
    fn scores_are_looked_up_by_id() {
        assert_eq!(scores("id,score\n7,0.5\n3, 0.25\n", &[3, 7]).unwrap(), [0.25, 0.5]);
        let says = |text: &str| scores(text, &[3]).unwrap_err().to_string();
        assert!(says("7,0.5\n").contains("no score of image 3"));
        assert!(says("3,0.5\n3,0.6\n").contains("line 2 names image 3 again"));
        assert!(says("id,score\n3;0.5\n").contains("line 2 is not `id,score`"));
        assert!(says("3,NaN\n3,inf\n").contains("line 2"));
    }

    #[test]
    fn histories_are_looked_up_by_id() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tensor = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap();
        let id = Tensor::new(&[7_i64, 3], &Device::Cpu).unwrap();
        let tensors = [
            ("id".to_owned(), id),
            ("history.loss".to_owned(), tensor(&[0.5, 0.25])),
            ("history.seen".to_owned(), tensor(&[2.0, 9.0])),
        ];
        std::fs::write(file.path(), checkpoint::to_bytes(&tensors.into(), &Default::default()).unwrap()).unwrap();
        let columns = history(file.path(), &[3, 7]).unwrap();
        assert_eq!((columns[0].name(), columns[0].to_f64s()), ("history.loss", vec![0.25, 0.5]));
        assert_eq!((columns[1].name(), columns[1].to_f64s()), ("history.seen", vec![9.0, 2.0]));
        assert!(history(file.path(), &[4]).unwrap_err().to_string().contains("image 4"));
    }
}
