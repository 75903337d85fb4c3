//! Several threads, several instances, and how fast it is.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::budget::{BUDGET, budget, process_time};
use super::cases::{ROUNDING, TOLERABLE};
use super::probe::{Answers, ROWS};
use super::{Finding, Speed, Subject, Told};
use crate::{Error, Result};

const THREADS: &str = "from four threads";
const INSTANCES: &str = "two instances at once";
const SPEED: &str = "speed";

/// How long one measurement takes at least.
pub(super) const LONG: Duration = Duration::from_millis(250);
/// And at most, after its first call.
pub(super) const LONGEST: Duration = Duration::from_secs(4);
/// A batch that would take longer a call is left out.
const LONGEST_CALL: f64 = 4.0;
/// So many threads ask at once, and so many times each at least.
const ASKING: usize = 4;
const FEWEST_CALLS: u64 = 3;
/// For so long at least, until this process has worked so long on however many processors others leave it, and so long at most.
const TOGETHER: Duration = Duration::from_millis(200);
const WORK: Duration = Duration::from_millis(800);
const TOGETHER_AT_MOST: Duration = Duration::from_secs(1);

pub(super) fn under_load(subject: &Subject<'_>) -> Vec<Finding> {
    vec![subject.try_out(THREADS, threads), subject.try_out(INSTANCES, instances), subject.try_out(BUDGET, budget)]
}

/// Four threads ask about different images, one a call, all from one moment on and as often as they can; what each hears must
/// be what one thread alone hears.
fn threads(subject: &Subject<'_>) -> Result<Finding> {
    let (probe, instance) = (subject.probe, subject.instance);
    let inputs: Vec<Vec<Tensor>> = (0..ROWS).map(|row| probe.inputs(&[row])).collect::<Result<_>>()?;
    let alone: Vec<Answers> = inputs.iter().map(|inputs| probe.ask(instance, inputs)).collect::<Result<_>>()?;
    let (begin, over) = (Barrier::new(ASKING + 1), AtomicBool::new(false));
    let ask = |first: usize| -> Result<(u64, f32)> {
        let (mut calls, mut worst) = (0, 0.0f32);
        begin.wait();
        // A thread's own images are as unlike those of the others: what gets mixed up shows.
        for row in (first..ROWS).step_by(ASKING).cycle() {
            worst = worst.max(alone[row].difference(&probe.ask(instance, &inputs[row])?));
            calls += 1;
            if worst > ROUNDING || (calls >= FEWEST_CALLS && over.load(Ordering::Relaxed)) {
                break;
            }
        }
        Ok((calls, worst))
    };
    let heard: Vec<(u64, f32)> = std::thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..ASKING).map(|first| scope.spawn(move || ask(first))).collect();
        begin.wait();
        let (started, before) = (Instant::now(), process_time().unwrap_or_default());
        let worked = || process_time().unwrap_or_default().saturating_sub(before);
        while started.elapsed() < TOGETHER || (worked() < WORK && started.elapsed() < TOGETHER_AT_MOST) {
            std::thread::sleep(Duration::from_millis(10));
        }
        over.store(true, Ordering::Relaxed);
        threads.into_iter().map(joined).collect::<Result<_>>()
    })?;
    let (calls, worst) = heard.iter().fold((0, 0.0f32), |(calls, worst), heard| (calls + heard.0, worst.max(heard.1)));
    let declared = subject.plugin.manifest().threads;
    let declared = serde_json::to_value(declared).map_or_else(|_| String::new(), |name| name.to_string());
    Ok(if worst <= ROUNDING {
        subject.passed(
            THREADS,
            format!("{calls} calls with one of {ROWS} images each, the same answers as from one (it says `threads: {declared}`)"),
        )
    } else {
        subject.failed(
            THREADS,
            format!(
                "calls from several threads disturb each other (relative difference {worst:.1e}, within {calls} calls)"
            ),
            "keep what a call needs in that call, or say `threads: \"serial\"` in the manifest",
        )
    })
}

/// A second instance works beside the first and goes away without harm to it.
fn instances(subject: &Subject<'_>) -> Result<Finding> {
    let probe = subject.probe;
    let all: Vec<usize> = (0..ROWS).collect();
    let expected = probe.ask_rows(subject.instance, &all)?;
    let second = (subject.make)(1)?;
    let ask = |instance| (0..2).map(|_| probe.ask_rows(instance, &all)).collect::<Result<Vec<_>>>();
    let heard: Vec<Vec<Answers>> = std::thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> =
            [subject.instance, &second].into_iter().map(|instance| scope.spawn(move || ask(instance))).collect();
        threads.into_iter().map(joined).collect::<Result<_>>()
    })?;
    drop(second);
    let after = probe.ask_rows(subject.instance, &all)?;
    let worst = heard.iter().flatten().chain([&after]).map(|heard| expected.difference(heard)).fold(0.0, f32::max);
    Ok(if worst <= ROUNDING {
        subject.passed(INSTANCES, "the same answers, also after one of them was destroyed")
    } else {
        subject.failed(
            INSTANCES,
            format!("instances disturb each other (relative difference {worst:.1e})"),
            "keep state in the instance, not in globals",
        )
    })
}

/// The fastest of a few calls, for small and large batches, as far as they take seconds and not minutes. Ends with a finding where
/// a batch's answers are not those to its images alone: nothing is timed that isn't right.
pub(super) fn speed(subject: &Subject<'_>) -> (Vec<Speed>, Option<Finding>) {
    let (mut measured, mut alone) = (Vec::<Speed>::new(), Vec::new());
    for batch in [1, 8, 64] {
        let expected = measured.last().map_or(0.0, |smaller| batch as f64 / smaller.images_per_second);
        if expected > LONGEST_CALL {
            break;
        }
        (subject.tell)(Told::Trying { operation: subject.probe.name(), test: SPEED });
        match time(subject, batch, &mut alone) {
            Ok(speed) => {
                (subject.tell)(Told::Measured(&speed));
                measured.push(speed);
            }
            Err(finding) => {
                (subject.tell)(Told::Found(&finding));
                return (measured, Some(finding));
            }
        }
    }
    (measured, None)
}

/// One size of batch, whose answers must be those to each row `alone`, which are asked for first.
fn time(subject: &Subject<'_>, batch: usize, alone: &mut Vec<Answers>) -> std::result::Result<Speed, Finding> {
    let (probe, instance) = (subject.probe, subject.instance);
    let wrong = |found: String, remedy: &str| subject.failed(SPEED, format!("in a batch of {batch} {found}"), remedy);
    let call_failed =
        |error: Error| wrong(error.to_string(), "this call must succeed: look for what the message names");
    while alone.len() < ROWS {
        alone.push(probe.ask_rows(instance, &[alone.len()]).map_err(call_failed)?);
    }
    let inputs = probe.inputs(&(0..batch).collect::<Vec<_>>()).map_err(call_failed)?;
    let answers = probe.ask(instance, &inputs).map_err(call_failed)?;
    if !answers.finite() {
        let remedy = "write every value of every row, whatever the size of the batch";
        return Err(wrong("there is NaN or infinity in its outputs".into(), remedy));
    }
    let worst = (0..batch).map(|row| alone[row % ROWS].difference(&answers.row(row))).fold(0.0, f32::max);
    if worst > TOLERABLE {
        let found = format!("images get other answers than alone (relative difference {worst:.1e})");
        return Err(wrong(found, "an image's answer must not depend on the size of the batch, nor on its place in it"));
    }
    let (started, mut fastest) = (Instant::now(), f64::INFINITY);
    for call in 0.. {
        let begun = Instant::now();
        probe.ask(instance, &inputs).map_err(call_failed)?;
        fastest = fastest.min(begun.elapsed().as_secs_f64());
        if (call >= 2 && started.elapsed() > LONG) || started.elapsed() > LONGEST {
            break;
        }
    }
    let (operation, images_per_second) = (probe.name(), batch as f64 / fastest);
    Ok(Speed { operation, batch, ms: 1e3 * fastest, images_per_second })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::failed("a thread of the self-test panicked")))
}
