//! The stage that judges: every finished student and the teacher on the real test images, into `eval.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use crate::accuracy::{Evaluation, evaluate};
use crate::backend::Classifier;
use crate::data::{Dataset, Split, load};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::rounds::student_file;
use crate::run_dir::{RunDir, sha256_file};
use crate::student::Student;
use crate::words::percent;
use crate::{Context as _, Error, Result};

/// Images classified at a time; it changes memory and speed, not the result.
const BATCH: usize = 250;

/// The content of `eval.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub teacher: Option<TeacherResult>,
    /// By the name of the arm: `synthetic`, `real`.
    pub arms: BTreeMap<String, ArmResult>,
}

/// The teacher's own accuracy: what its students strive for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeacherResult {
    pub name: String,
    pub version: String,
    pub sha256: String,
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// One arm over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    pub seeds: usize,
    pub top1: Spread,
    pub top5: Spread,
    /// In the order of seeds.
    pub students: Vec<StudentResult>,
}

/// One student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudentResult {
    pub seed: u64,
    pub network: String,
    /// The SHA-256 of its checkpoint.
    pub sha256: String,
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// The mean over seeds, and the sample standard deviation (over n - 1) where there are two or more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub mean: f64,
    pub std: Option<f64>,
}

impl Spread {
    /// The spread of at least one value.
    fn of(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let std = (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt());
        Self { mean, std }
    }
}

/// Judges every `checkpoints/<arm>/seed-<k>/student.safetensors` and the teacher, and writes `eval.json`.
///
/// A seed that has no finished student yet is named and passed over. Fails when there is none at all, and on a checkpoint
/// that is damaged or made for other images.
pub fn run(
    plan: &Plan,
    run: &RunDir,
    progress: &Progress,
    device: &Device,
    teacher: Option<&dyn Classifier>,
) -> Result<Judgement> {
    let test = load(&plan.data, Split::Test, progress)?;
    let students = finished_students(run, plan.baseline.is_some(), progress)?;
    let judgement = Judgement {
        teacher: teacher.map(|teacher| judge_teacher(teacher, &test, progress, device)).transpose()?,
        arms: students
            .into_iter()
            .map(|(arm, seeds)| {
                judge_arm(&plan.distill.student, &arm, &seeds, &test, progress, device).map(|result| (arm, result))
            })
            .collect::<Result<_>>()?,
    };
    run.write_json("eval.json", &judgement)?;
    Ok(judgement)
}

/// Whether `eval.json` judges every student of the plan as it is now.
pub fn done(plan: &Plan, run: &RunDir) -> Result<bool> {
    let Some(judgement) = run.read_json::<Judgement>("eval.json")? else { return Ok(false) };
    let arms = if plan.baseline.is_some() { 2 } else { 1 };
    if judgement.teacher.is_none() || judgement.arms.len() != arms {
        return Ok(false);
    }
    for (arm, result) in &judgement.arms {
        for &seed in &plan.distill.seeds {
            let path = run.join(&student_file(arm, seed));
            let judged = result.students.iter().find(|student| student.seed == seed);
            if !path.exists() || judged.map(|student| &student.sha256) != Some(&sha256_file(&path)?) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The checkpoints by arm and seed; those of a baseline only where the plan has one.
fn finished_students(
    run: &RunDir,
    baseline: bool,
    progress: &Progress,
) -> Result<BTreeMap<String, BTreeMap<u64, PathBuf>>> {
    let root = run.join("checkpoints");
    let mut arms = BTreeMap::<String, BTreeMap<u64, PathBuf>>::new();
    for arm in subfolders(&root)?.into_iter().filter(|arm| arm != "real" || baseline) {
        for folder in subfolders(&root.join(&arm))? {
            let Some(seed) = folder.strip_prefix("seed-").and_then(|seed| seed.parse().ok()) else { continue };
            let path = root.join(&arm).join(&folder).join("student.safetensors");
            if path.exists() {
                arms.entry(arm.clone()).or_default().insert(seed, path);
            } else {
                progress.warn(format_args!("`{}` is not finished, so it is not evaluated", path.display()));
            }
        }
    }
    if arms.is_empty() {
        return Err(Error::input(format!(
            "`{}` has no finished student: `limbeck run` with the run's recipe trains them",
            root.display()
        )));
    }
    Ok(arms)
}

/// The names of the folders in `folder`; none when it is absent.
fn subfolders(folder: &Path) -> Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn judge_teacher(
    teacher: &dyn Classifier,
    test: &Dataset,
    progress: &Progress,
    device: &Device,
) -> Result<TeacherResult> {
    let info = teacher.info();
    let bar = progress.stage("eval teacher", test.len() as u64, "images");
    let forward = |images: &Tensor| Ok(teacher.classify(&images.to_device(device)?)?.logits);
    let evaluation = evaluate(&forward, test, BATCH, &bar).context(format_args!("teacher `{}`", info.name))?;
    bar.message(figures(evaluation.top1, evaluation.top5, test.classes));
    bar.finish();
    Ok(TeacherResult {
        name: info.name.clone(),
        version: info.version.clone(),
        sha256: info.sha256.clone(),
        evaluation,
    })
}

fn judge_arm(
    network: &str,
    arm: &str,
    seeds: &BTreeMap<u64, PathBuf>,
    test: &Dataset,
    progress: &Progress,
    device: &Device,
) -> Result<ArmResult> {
    let bar = progress.stage(&format!("eval {arm}"), (seeds.len() * test.len()) as u64, "images");
    let mut students = Vec::new();
    for (&seed, path) in seeds {
        let student = Student::of_run(path, network, device)?;
        let evaluation = evaluate(&|images| Ok(student.forward(images)?.logits), test, BATCH, &bar);
        let evaluation = evaluation.context(format_args!("`{}`", path.display()))?;
        students.push(StudentResult { seed, network: student.name, sha256: sha256_file(path)?, evaluation });
    }
    let over = |value: fn(&Evaluation) -> f64| {
        Spread::of(&students.iter().map(|student| value(&student.evaluation)).collect::<Vec<_>>())
    };
    let (top1, top5) = (over(|evaluation| evaluation.top1), over(|evaluation| evaluation.top5));
    bar.message(figures(top1.mean, top5.mean, test.classes));
    bar.finish();
    Ok(ArmResult { seeds: students.len(), top1, top5, students })
}

/// Among five classes or fewer the right one is always one of the five.
fn figures(top1: f64, top5: f64, classes: usize) -> String {
    let top5 = if classes > 5 { format!(", top-5 {} %", percent(top5)) } else { String::new() };
    format!("top-1 {} %{top5}", percent(top1))
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
