//! Whether a plugin keeps to the threads that it may use, on a machine that others use as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use limbeck_backend::Threads;

use super::load::{LONG, LONGEST};
use super::probe::ROWS;
use super::{Finding, Instance, Subject, Verdict};

use crate::Result;

pub(super) const BUDGET: &str = "the thread budget";

/// The processor's time by which a share of it can be told.
const ENOUGH: Duration = Duration::from_millis(100);
/// The processor's time that one call takes at least, if [`MOST`] rows are enough for it. Between two calls the host's thread and
/// the plugin's are both at work for a moment, which is long where each has to wait for a processor.
const CALL: Duration = Duration::from_millis(50);
/// With more rows the host's own work, on one thread, would hide what the plugin does.
const MOST: usize = 128 * ROWS;
/// How often it is looked who works.
const PERIOD: Duration = Duration::from_millis(3);
/// And how often at least, for a mean that means something.
const ENOUGH_LOOKS: u32 = 20;
/// Up to here it is one thread, with what is beside it by chance.
const ONE: f64 = 1.25;

/// With one thread allowed, no more than one may be at work or wait for a processor.
pub(super) fn budget(subject: &Subject<'_>) -> Result<Finding> {
    if process_time().is_none() {
        return Ok(subject.passed(BUDGET, "not measured: this system does not tell a process its own time"));
    }
    let modest = (subject.make)(1)?;
    let inputs = enough(subject, &modest)?;
    // Calls of a `single` plugin are made on a thread of its own, to which the asking one hands them over.
    let asking = (subject.plugin.manifest().threads == Threads::Single).then(own_thread).flatten();
    let (started, before) = (Instant::now(), process_time().unwrap_or_default());
    let spent = || process_time().unwrap_or_default().saturating_sub(before);
    let (outcome, wanted) = while_watched(asking, || {
        // A plugin may wait for others to compute: then its own time is short of what can be told.
        while started.elapsed() < LONG || (spent() < ENOUGH && started.elapsed() < LONGEST) {
            subject.probe.ask(&modest, &inputs)?;
        }
        Result::Ok(())
    });
    outcome?;
    let (wall, spent) = (started.elapsed(), spent());
    let (verdict, found) = judge(wanted, spent.as_secs_f64() / wall.as_secs_f64());
    Ok(match verdict {
        Verdict::Passed if spent < ENOUGH => {
            subject.passed(BUDGET, "not measured: it took too little of the processor's time")
        }
        Verdict::Passed => subject.passed(BUDGET, found),
        Verdict::Remark => subject.remark(BUDGET, found, "check again when nothing else works on it"),
        Verdict::Failed => subject.failed(
            BUDGET,
            found,
            "respect `limbeck_host.max_threads`: the host works beside the plugin, and several runs may share a machine",
        ),
    })
}

/// Inputs for calls that are long enough, as far as the plugin takes that many rows.
fn enough(subject: &Subject<'_>, instance: &Instance) -> Result<Vec<Tensor>> {
    let inputs = |rows: usize| subject.probe.inputs(&(0..rows).collect::<Vec<_>>());
    let mut found = inputs(ROWS)?;
    subject.probe.ask(instance, &found)?;
    for rows in (1..).map(|doubled| ROWS << doubled).take_while(|rows| *rows <= MOST) {
        let (started, before) = (Instant::now(), process_time().unwrap_or_default());
        subject.probe.ask(instance, &found)?;
        let spent = process_time().unwrap_or_default().saturating_sub(before);
        let more = inputs(rows)?;
        if spent >= CALL || started.elapsed() >= LONG || subject.probe.ask(instance, &more).is_err() {
            break;
        }
        found = more;
    }
    Ok(found)
}

/// From how many threads `wanted` a processor on average, where that was seen, and how many processors they got. What they got
/// says little where others took the processors.
fn judge(wanted: Option<f64>, got: f64) -> (Verdict, String) {
    let busy = wanted.map_or(got, |wanted| wanted.max(got));
    let shown = format!("{busy:.1} threads busy where 1 is allowed");
    match wanted {
        _ if busy > ONE => (Verdict::Failed, shown),
        None if got < 0.75 => (Verdict::Remark, format!("can't tell: the machine is busy ({shown})")),
        _ => (Verdict::Passed, shown),
    }
}

/// Does `work`, and counts how many threads of this process meanwhile have a processor or wait for one, on average, without the
/// one that counts and `other`. `None` where that could not be seen often enough.
fn while_watched<R>(other: Option<String>, work: impl FnOnce() -> R) -> (R, Option<f64>) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = || {
            let apart = [own_thread(), other].map(Option::unwrap_or_default);
            let (mut looks, mut sum) = (0u32, 0);
            while !over.load(Ordering::Relaxed) {
                thread::sleep(PERIOD);
                let Some(runnable) = runnable(&apart) else { break };
                (looks, sum) = (looks + 1, sum + runnable);
            }
            (looks >= ENOUGH_LOOKS).then(|| sum as f64 / f64::from(looks))
        };
        let watcher = scope.spawn(watch);
        let outcome = work();
        over.store(true, Ordering::Relaxed);
        (outcome, watcher.join().unwrap_or_default())
    })
}

/// How many threads of this process have a processor or wait for one, without those `apart`.
fn runnable(apart: &[String]) -> Option<usize> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let others = threads.filter(|thread| apart.iter().all(|apart| thread.file_name() != **apart));
    // A thread that has just ended has no file any more.
    let states = others.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    Some(states.filter(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" R"))).count())
}

/// The number by which Linux knows this thread.
fn own_thread() -> Option<String> {
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// The time that all threads of this process have worked, those that have ended too. `None` where the system does not tell.
pub(super) fn process_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is writable.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } != 0 {
        return None;
    }
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_hides_nothing() {
        let verdict = |wanted, got| judge(wanted, got).0;
        assert_eq!(verdict(Some(1.0), 0.3), Verdict::Passed, "one thread that had to wait");
        assert_eq!(verdict(Some(3.7), 0.3), Verdict::Failed, "four that had to wait");
        assert_eq!(verdict(Some(1.0), 1.9), Verdict::Failed, "seen too seldom");
        assert_eq!(verdict(None, 1.9), Verdict::Failed);
        assert_eq!(verdict(None, 1.0), Verdict::Passed);
        assert_eq!(verdict(None, 0.3), Verdict::Remark);
    }

    #[test]
    fn threads_at_work_are_seen_and_waiting_ones_are_not() {
        if own_thread().is_none() {
            return;
        }
        // Beside the threads of other tests.
        let over = AtomicBool::new(false);
        let spin = || {
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        let busy = thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(spin)));
            let (_, busy) = while_watched(None, || thread::sleep(Duration::from_secs(1)));
            over.store(true, Ordering::Relaxed);
            busy
        });
        assert!(busy.is_some_and(|busy| busy > 2.5), "{busy:?}");
    }
}
