//! Several threads, several instances, the thread budget, and how fast it is.

use std::time::{Duration, Instant};

use super::cases::ROUNDING;
use super::probe::{Answers, ROWS};
use super::{Finding, Speed, Subject, Told};
use crate::{Error, Result};

const THREADS: &str = "from four threads";
const INSTANCES: &str = "two instances at once";
const BUDGET: &str = "the thread budget";
const SPEED: &str = "speed";

/// How long one measurement takes at least.
const LONG: Duration = Duration::from_millis(250);
/// And at most, after its first call.
const LONGEST: Duration = Duration::from_secs(4);
/// A batch that would take longer a call is left out.
const LONGEST_CALL: f64 = 4.0;
/// The processor's time by which a share of it can be told.
const ENOUGH_TICKS: f64 = 10.0;
/// The clock of a process's own time, as Linux shows it (`USER_HZ`), ticks a hundred times a second on all processors but Alpha
/// and Itanium, whatever the kernel's own clock does.
const TICK: f64 = 0.01;

pub(super) fn under_load(subject: &Subject<'_>) -> Vec<Finding> {
    vec![subject.try_out(THREADS, threads), subject.try_out(INSTANCES, instances), subject.try_out(BUDGET, budget)]
}

/// Four threads ask about different rows; what each hears must be what one thread alone would hear.
fn threads(subject: &Subject<'_>) -> Result<Finding> {
    let (probe, instance) = (subject.probe, subject.instance);
    let rows: Vec<Vec<usize>> = (0..4).map(|thread| vec![thread, thread + 4, thread]).collect();
    let alone: Vec<Answers> = rows.iter().map(|rows| probe.ask_rows(instance, rows)).collect::<Result<_>>()?;
    let ask = |rows: &[usize]| (0..3).map(|_| probe.ask_rows(instance, rows)).collect::<Result<Vec<_>>>();
    let together: Vec<Vec<Answers>> = std::thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = rows.iter().map(|rows| scope.spawn(move || ask(rows))).collect();
        threads.into_iter().map(joined).collect::<Result<_>>()
    })?;
    let differences =
        alone.iter().zip(&together).flat_map(|(alone, heard)| heard.iter().map(|heard| alone.difference(heard)));
    let worst = differences.fold(0.0, f32::max);
    let declared = subject.plugin.manifest().threads;
    let declared = serde_json::to_value(declared).map_or_else(|_| String::new(), |name| name.to_string());
    Ok(if worst <= ROUNDING {
        subject.passed(THREADS, format!("the same answers as from one (it says `threads: {declared}`)"))
    } else {
        subject.failed(
            THREADS,
            format!("calls from several threads disturb each other (relative difference {worst:.1e})"),
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

/// With one thread allowed, the process must not use more than one processor.
fn budget(subject: &Subject<'_>) -> Result<Finding> {
    if process_seconds().is_none() {
        return Ok(subject.passed(BUDGET, "not measured: this system does not tell a process its own time"));
    }
    let modest = (subject.make)(1)?;
    let all: Vec<usize> = (0..ROWS).collect();
    let inputs = subject.probe.inputs(&all)?;
    subject.probe.ask(&modest, &inputs)?;
    let (started, before) = (Instant::now(), process_seconds().unwrap_or_default());
    let spent = || process_seconds().unwrap_or_default() - before;
    // A plugin may wait for others to compute: then its own time is short of what can be told.
    while started.elapsed() < LONG || (spent() < ENOUGH_TICKS * TICK && started.elapsed() < LONGEST) {
        subject.probe.ask(&modest, &inputs)?;
    }
    let (wall, spent) = (started.elapsed().as_secs_f64(), spent());
    if spent < ENOUGH_TICKS * TICK {
        return Ok(subject.passed(BUDGET, "not measured: it took too little of the processor's time"));
    }
    let busy = spent / wall;
    let shown = format!("{busy:.1} threads busy where 1 is allowed");
    Ok(if (spent - 2.0 * TICK) / wall <= 1.25 {
        subject.passed(BUDGET, shown)
    } else {
        subject.failed(
            BUDGET,
            shown,
            "respect `limbeck_host.max_threads`: the host works beside the plugin, and several runs may share a machine",
        )
    })
}

/// The time that all threads of this process have worked, in seconds. `None` where the system does not tell.
fn process_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 * TICK)
}

/// The fastest of a few calls, for small and large batches, as far as they take seconds and not minutes.
pub(super) fn speed(subject: &Subject<'_>) -> Result<Vec<Speed>> {
    let mut measured: Vec<Speed> = Vec::new();
    for batch in [1, 8, 64] {
        let expected = measured.last().map_or(0.0, |smaller| batch as f64 / smaller.images_per_second);
        if expected > LONGEST_CALL {
            break;
        }
        (subject.tell)(Told::Trying { operation: subject.probe.name(), test: SPEED });
        let rows: Vec<usize> = (0..batch).collect();
        let inputs = subject.probe.inputs(&rows)?;
        let (started, mut fastest) = (Instant::now(), f64::INFINITY);
        for call in 0.. {
            let begun = Instant::now();
            subject.probe.ask(subject.instance, &inputs)?;
            fastest = fastest.min(begun.elapsed().as_secs_f64());
            if (call >= 2 && started.elapsed() > LONG) || started.elapsed() > LONGEST {
                break;
            }
        }
        let (operation, images_per_second) = (subject.probe.name(), batch as f64 / fastest);
        let speed = Speed { operation, batch, ms: 1e3 * fastest, images_per_second };
        (subject.tell)(Told::Measured(&speed));
        measured.push(speed);
    }
    Ok(measured)
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::failed("a thread of the self-test panicked")))
}
