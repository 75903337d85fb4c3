//! What the teacher says of every image, computed once and kept beside the pool.

use std::path::Path;

use candle_core::{Device, Tensor};
use limbeck_models::checkpoint;
use rand::Rng as _;

use super::OpenTeacher;
use super::proxy::Known;
use crate::accuracy::arg_max;
use crate::backend::{Classifier, ClassifierInfo};
use crate::plan::Plan;
use crate::policy::{Column, Source, compute};
use crate::pool::{Pool, Sample, round_dir};
use crate::progress::Progress;
use crate::run_dir::{RunDir, sha256_bytes, sha256_file};
use crate::seed::{Purpose, rng};
use crate::{Context, Error, Result};

/// Images that the teacher sees at once.
const BATCH: usize = 200;

/// The teacher's grades of a pool, in the order of its samples.
pub struct PoolGrades {
    classes: usize,
    /// n × classes.
    logits: Vec<f32>,
    /// n × the second number.
    features: Option<(Vec<f32>, usize)>,
}

/// Hash of the teacher and of the pool's index: grades of another teacher or pool are made again.
pub fn key(plan: &Plan, run: &RunDir, round: u32) -> Result<String> {
    let index = run.join(&format!("{}/index.json", round_dir(round)));
    if !index.exists() {
        let folder = run.join(&round_dir(round));
        return Err(Error::input(format!(
            "`{}` has no finished shard: `limbeck run` with the run's recipe draws them",
            folder.display()
        )));
    }
    let parts = format!("{}\n{}\n{}", plan.teacher_key(), plan.data.classes, sha256_file(&index)?);
    Ok(sha256_bytes(parts.as_bytes()))
}

fn file(round: u32) -> String {
    format!("{}/grades.safetensors", round_dir(round))
}

/// Has the teacher grade two images of noise, one of them almost grey, so that one that can't is known before any image is
/// drawn. A run in `out` that it has graded images of is taken up without: it may have nothing more to grade.
pub fn try_out(teacher: &dyn Classifier, out: &Path) -> Result<()> {
    if out.join(file(0)).exists() {
        return Ok(());
    }
    let info = teacher.info();
    let shape = [2, info.channels, info.height, info.width];
    let mut random = rng(0, Purpose::Probe, 0);
    let mut noise = |width: f32| 0.5 + width * (random.random::<f32>() - 0.5);
    let each = shape[1..].iter().product();
    let pixels: Vec<f32> =
        [0.1, 1.0].into_iter().flat_map(|width| (0..each).map(|_| noise(width)).collect::<Vec<_>>()).collect();
    teacher
        .classify(&Tensor::from_vec(pixels, &shape, &Device::Cpu)?)
        .context("trying the teacher with noise")
        .map(drop)
}

/// The grades of a pool: those kept under this key, or new ones.
pub fn of_pool(
    plan: &Plan,
    run: &RunDir,
    pool: &Pool,
    round: u32,
    key: &str,
    progress: &Progress,
    open: OpenTeacher<'_>,
) -> Result<PoolGrades> {
    let file = file(round);
    if let Some(kept) = load(run, &file, key, pool.samples.len()) {
        return Ok(kept);
    }
    let teacher = open()?;
    check(plan, pool, teacher.info())?;
    let grades = grade(teacher.as_ref(), pool, progress)?;
    save(run, &file, key, &grades)?;
    Ok(grades)
}

/// Kept grades are a cache: whatever is wrong with the file, they are made again.
fn load(run: &RunDir, file: &str, key: &str, rows: usize) -> Option<PoolGrades> {
    let path = run.join(file);
    if !path.exists() {
        return None;
    }
    let stored = checkpoint::load(&path).ok()?;
    if stored.entry("key")? != key {
        return None;
    }
    let matrix = |name: &str| {
        let tensor: &Tensor = stored.tensors.get(name)?;
        let (n, width) = tensor.dims2().ok()?;
        let values = tensor.flatten_all().ok()?.to_vec1::<f32>().ok()?;
        (n == rows).then_some((values, width))
    };
    let (logits, classes) = matrix("logits")?;
    Some(PoolGrades { classes, logits, features: matrix("features") })
}

fn save(run: &RunDir, file: &str, key: &str, grades: &PoolGrades) -> Result<()> {
    let rows = grades.logits.len() / grades.classes;
    let matrix = |values: &[f32], width: usize| Tensor::from_slice(values, (rows, width), &Device::Cpu);
    let mut tensors = std::collections::BTreeMap::new();
    tensors.insert("logits".to_owned(), matrix(&grades.logits, grades.classes)?);
    if let Some((features, width)) = &grades.features {
        tensors.insert("features".to_owned(), matrix(features, *width)?);
    }
    let metadata = [("key".to_owned(), key.to_owned())].into();
    run.write_atomic(file, &checkpoint::to_bytes(&tensors, &metadata)?)
}

fn check(plan: &Plan, pool: &Pool, teacher: &ClassifierInfo) -> Result<()> {
    teacher.check_classes(plan.data.classes)?;
    let Some(image) = pool.samples.first().map(|sample| &sample.image) else { return Ok(()) };
    teacher.check_images((image.channels, image.height, image.width)).context("the images of the pool")
}

fn grade(teacher: &dyn Classifier, pool: &Pool, progress: &Progress) -> Result<PoolGrades> {
    let info = teacher.info();
    let images = pool.to_dataset(info.classes);
    let bar = progress.stage("grade", images.len() as u64, "images");
    let mut logits = Vec::with_capacity(images.len() * info.classes);
    let mut features = info.features.map(|width| (Vec::with_capacity(images.len() * width), width));
    let rows: Vec<usize> = (0..images.len()).collect();
    for rows in rows.chunks(BATCH) {
        let (batch, _) = images.batch(rows)?; // [rows, channels, height, width]
        let grades = teacher.classify(&batch).context("grading the pool")?;
        logits.extend(grades.logits.flatten_all()?.to_vec1::<f32>()?);
        if let (Some((all, _)), Some(given)) = (&mut features, grades.features) {
            all.extend(given.flatten_all()?.to_vec1::<f32>()?);
        }
        bar.advance(rows.len() as u64);
    }
    bar.finish();
    Ok(PoolGrades { classes: info.classes, logits, features })
}

/// A graded pool as columns, and what of them the decisions quote.
pub struct PoolColumns<'a> {
    grades: &'a PoolGrades,
    pub class: Vec<u32>,
    pub id: Vec<u64>,
    student: Option<Vec<f32>>,
    given: Vec<Column>,
    /// What the teacher sees.
    pub teacher_class: Vec<u32>,
    /// Its probability of `class`.
    pub teacher_p_class: Vec<f32>,
}

impl PoolGrades {
    /// Those of some rows of the pool.
    pub fn of_rows(&self, rows: &[usize]) -> Self {
        let pick =
            |all: &[f32], width: usize| rows.iter().flat_map(|&row| &all[row * width..][..width]).copied().collect();
        Self {
            classes: self.classes,
            logits: pick(&self.logits, self.classes),
            features: self.features.as_ref().map(|(all, width)| (pick(all, *width), *width)),
        }
    }

    /// Adds those of more images by the same teacher.
    pub fn extend(&mut self, more: Self) {
        self.logits.extend(more.logits);
        self.features = match (self.features.take(), more.features) {
            (Some((mut all, width)), Some((features, _))) => {
                all.extend(features);
                Some((all, width))
            }
            _ => None,
        };
    }

    /// These grades with the pool's classes, ids and provenance.
    pub fn source(&self, pool: &Pool) -> Result<PoolColumns<'_>> {
        let samples = &pool.samples;
        let mut columns = PoolColumns {
            grades: self,
            class: samples.iter().map(|sample| sample.class).collect(),
            id: samples.iter().map(|sample| sample.id).collect(),
            student: None,
            given: given(samples, self.classes),
            teacher_class: self.logits.chunks_exact(self.classes).map(|logits| arg_max(logits) as u32).collect(),
            teacher_p_class: Vec::new(),
        };
        let name = "teacher.p-class";
        let wanted = compute(&columns.columns(), &[name.to_owned()]);
        let wanted = wanted.and_then(|wanted| Ok(wanted.f32_range(name, 0, samples.len() as u32)?.to_vec()));
        columns.teacher_p_class = wanted.map_err(|reason| Error::failed(format!("grades of the pool: {reason}")))?;
        Ok(columns)
    }
}

impl PoolColumns<'_> {
    /// Adds what is known of the images from elsewhere.
    pub fn with(mut self, known: Known) -> Self {
        self.student = known.student;
        self.given.extend(known.columns);
        self
    }

    /// What policies may ask for.
    pub fn columns(&self) -> Source<'_> {
        Source {
            classes: self.grades.classes,
            class: &self.class,
            id: &self.id,
            teacher: Some(&self.grades.logits),
            student: self.student.as_deref(),
            features: self.grades.features.as_ref().map(|(features, width)| (features.as_slice(), *width)),
            given: &self.given,
            first: 0,
        }
    }
}

/// What the pool says of its images by itself: how each was drawn, and how many there are of its class.
pub fn given(samples: &[Sample], classes: usize) -> Vec<Column> {
    let whole = |name, f: fn(&Sample) -> u64| Column::u64s(name, samples.iter().map(f).collect());
    let mut counts = vec![0_u64; classes];
    samples.iter().for_each(|sample| counts[sample.class as usize] += 1);
    vec![
        Column::f32s("guidance", 1, samples.iter().map(|sample| sample.provenance.guidance).collect()),
        whole("steps", |sample| sample.provenance.steps.into()),
        whole("seed", |sample| sample.provenance.stream.unwrap_or(sample.provenance.seed)),
        whole("round", |sample| sample.provenance.round.into()),
        Column::u64s("class.count", samples.iter().map(|sample| counts[sample.class as usize]).collect()),
    ]
}
