//! What a call of a policy costs, on made-up images: lending the columns, running the component, checking its reply.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng as _;

use super::machine::peak_memory;
use crate::policy::{
    Column, Columns, Env, Limits, Policy, PolicyInstance, PolicyUse, Role, Sandbox, Source, When, check_draws,
    check_scores, check_selection, check_weights, compute,
};
use crate::seed::{Purpose, rng};
use crate::{Error, Result};

/// Rows that a scorer sees at once, as in a selection.
const WINDOW: usize = 8192;
/// Numbers in a row of features.
const FEATURES: usize = 128;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Images in a batch, a window or a round.
    pub samples: usize,
    pub classes: usize,
    /// Images that a selector may keep.
    pub budget: usize,
    /// Calls that are timed, after one that is not.
    pub calls: usize,
}

/// The times of one call in seconds: the medians over the calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    pub role: Role,
    /// Computing the columns that the policy needs from logits, features and provenance.
    pub lend: f64,
    /// In the sandbox, copies of the columns and of the reply with it.
    pub run: f64,
    /// Checking the reply.
    pub check: f64,
    pub used: PolicyUse,
    /// The most bytes that the process had in use up to the end of this role, where the system tells.
    pub process_peak: Option<u64>,
}

/// Made-up images: everything that a column can be made of.
pub struct Images {
    classes: usize,
    class: Vec<u32>,
    id: Vec<u64>,
    teacher: Vec<f32>,
    student: Vec<f32>,
    features: Vec<f32>,
    given: Vec<Column>,
}

impl Images {
    /// Random ones with these ids, the same every time; features only where they are needed.
    pub fn new(ids: Range<usize>, classes: usize, needs: &[String]) -> Self {
        let mut random = rng(0, Purpose::Policy, ids.start as u64);
        let rows = ids.len();
        let mut numbers = |count: usize, low: f32, high: f32| -> Vec<f32> {
            (0..count).map(|_| random.random_range(low..high)).collect()
        };
        let wanted = |name: &str| needs.iter().any(|need| need == name);
        let width = if wanted("teacher.features") { FEATURES } else { 0 };
        let (teacher, student) = (numbers(rows * classes, -6.0, 6.0), numbers(rows * classes, -3.0, 3.0));
        let features = numbers(rows * width, 0.0, 1.0);
        let whole = |name: &str| Column::u64s(name, ids.clone().map(|id| id as u64 % 7).collect());
        let mut given: Vec<Column> = FLOATS
            .iter()
            .filter(|name| wanted(name))
            .map(|name| Column::f32s(name, 1, numbers(rows, 0.0, 1.0)))
            .collect();
        given.extend(WHOLE.iter().filter(|name| wanted(name)).map(|name| whole(name)));
        if wanted("student.features") {
            given.push(Column::f32s("student.features", FEATURES, numbers(rows * FEATURES, 0.0, 1.0)));
        }
        Self {
            classes,
            class: ids.clone().map(|id| (id % classes) as u32).collect(),
            id: ids.map(|id| id as u64).collect(),
            teacher,
            student,
            features,
            given,
        }
    }

    /// What columns are computed from.
    pub fn source(&self) -> Source<'_> {
        Source {
            classes: self.classes,
            class: &self.class,
            id: &self.id,
            teacher: Some(&self.teacher),
            student: Some(&self.student),
            features: (!self.features.is_empty()).then_some((&self.features, FEATURES)),
            given: &self.given,
            first: 0,
        }
    }
}

/// The columns that a run gives as they are.
const FLOATS: [&str; 10] = [
    "guidance",
    "external",
    "history.loss",
    "history.mean-loss",
    "history.kl",
    "history.margin",
    "history.p-class",
    "history.p-class-std",
    "class.loss",
    "class.lag",
];
const WHOLE: [&str; 6] = ["steps", "seed", "round", "history.seen", "history.forgotten", "class.count"];

/// Measures each role of the component in `file` under this configuration.
pub fn measure(file: &Path, config_json: &str, sizes: &Sizes, limits: &Limits) -> Result<Vec<Cost>> {
    let policy = Policy::open(&Sandbox::new()?, file)?;
    let env = Env {
        config_json: config_json.to_owned(),
        classes: sizes.classes as u32,
        feature_dim: FEATURES as u32,
        total_steps: sizes.calls as u64 + 1,
    };
    policy
        .roles()
        .iter()
        .map(|&role| {
            let mut instance = policy.start(&env, 0, limits, Arc::new(|_, _| {}))?;
            // The images of a scorer are made window by window, and a planner has none.
            let rows = if matches!(role, Role::Weigher | Role::Selector) { sizes.samples } else { 0 };
            let images = Images::new(0..rows, sizes.classes, &instance.setup().needs);
            let mut times = [Vec::new(), Vec::new(), Vec::new()];
            for step in 0..=sizes.calls as u64 {
                let one = call(&mut instance, role, &images, sizes, When { round: 0, epoch: 0, step })?;
                if step > 0 {
                    times.iter_mut().zip(one).for_each(|(times, time)| times.push(time));
                }
            }
            let [lend, run, check] = times.map(median);
            let process_peak = peak_memory();
            Ok(Cost { role, lend, run, check, used: instance.usage(), process_peak })
        })
        .collect()
}

/// Seconds of lending, running and checking.
fn call(instance: &mut PolicyInstance, role: Role, images: &Images, sizes: &Sizes, when: When) -> Result<[f64; 3]> {
    if role == Role::Scorer {
        return score(instance, sizes, when);
    }
    if role == Role::Planner {
        return plan(instance, sizes, when.round);
    }
    let began = Instant::now();
    let columns = columns(instance, &images.source())?;
    let lend = began.elapsed().as_secs_f64();
    let (rows, reasons, began) = (columns.rows(), instance.setup().reasons.len(), Instant::now());
    let (whole, check) = if role == Role::Weigher {
        let weights = instance.weigh(columns, when)?;
        (began.elapsed(), timed(|| check_weights(&weights, rows))?)
    } else {
        let selection = instance.select(columns, sizes.budget as u32, when)?;
        (began.elapsed(), timed(|| check_selection(&selection, rows, sizes.budget, reasons))?)
    };
    Ok([lend, (whole.as_secs_f64() - check).max(0.0), check])
}

/// Window by window, as in a selection: neither the host's columns nor the policy's memory grow with the images. Those of a
/// window are made before its time begins.
fn score(instance: &mut PolicyInstance, sizes: &Sizes, when: When) -> Result<[f64; 3]> {
    let reasons = instance.setup().reasons.len();
    let mut sums = [0.0; 3];
    for start in (0..sizes.samples).step_by(WINDOW) {
        let window = start..sizes.samples.min(start + WINDOW);
        let images = Images::new(window, sizes.classes, &instance.setup().needs);
        let began = Instant::now();
        let columns = columns(instance, &images.source())?;
        sums[0] += began.elapsed().as_secs_f64();
        let (rows, began) = (columns.rows(), Instant::now());
        let scores = instance.score(columns, when)?;
        let whole = began.elapsed().as_secs_f64();
        let check = timed(|| check_scores(&scores, rows, reasons))?;
        sums[1] += (whole - check).max(0.0);
        sums[2] += check;
    }
    Ok(sums)
}

/// A planner reads no columns: figures of every class stand for the rounds before.
fn plan(instance: &mut PolicyInstance, sizes: &Sizes, round: u32) -> Result<[f64; 3]> {
    let began = Instant::now();
    let class = |class: usize| {
        let student = 1.0 - class as f64 / sizes.classes as f64;
        serde_json::json!({ "images": 10, "held-out": 2, "teacher-accuracy": 1.0, "student-accuracy": student })
    };
    let stats = serde_json::json!({
        "round": 1, "rounds": 4, "guidance": 1.5, "steps": 50, "first-seed": 1000,
        "classes": (0..sizes.classes).map(class).collect::<Vec<_>>(),
        "hardest": [{ "class": 0, "guidance": 1.5, "steps": 50, "seed": 3, "kl": 0.5 }],
    });
    let stats = stats.to_string();
    let lend = began.elapsed().as_secs_f64();
    let (images, classes, began) = (sizes.samples as u32, sizes.classes as u32, Instant::now());
    let draws = instance.plan(images, classes, round, &stats)?;
    let whole = began.elapsed().as_secs_f64();
    let check = timed(|| check_draws(&draws, images, classes))?;
    Ok([lend, (whole - check).max(0.0), check])
}

fn columns(instance: &PolicyInstance, source: &Source) -> Result<Columns> {
    compute(source, &instance.setup().needs)
        .map_err(|reason| Error::input(format!("the policy asks for what no run gives: {reason}")))
}

/// Seconds of a check that has passed before.
fn timed(check: impl FnOnce() -> std::result::Result<(), String>) -> Result<f64> {
    let began = Instant::now();
    std::hint::black_box(check()).map_err(Error::failed)?;
    Ok(began.elapsed().as_secs_f64())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = |place: usize| times.get(place).copied().unwrap_or(f64::NAN);
    (at(times.len().saturating_sub(1) / 2) + at(times.len() / 2)) / 2.0
}
