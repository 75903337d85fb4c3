//! How far a stage has come: a moving bar, or a plain line now and then.

use std::fmt::{Display, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::{Mode, Progress, duration, rate_text};

/// How often a plain line is printed while a stage works.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The progress of one stage. Clones show the same bar.
#[derive(Clone)]
pub struct Bar {
    inner: Arc<Inner>,
}

struct Inner {
    progress: Progress,
    name: String,
    unit: &'static str,
    total: u64,
    shown: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    done: u64,
    /// How many of these were there before the stage began.
    found: u64,
    message: String,
    started: Instant,
    printed: Instant,
    finished: bool,
}

impl State {
    fn shown_message(&self) -> String {
        if self.message.is_empty() { String::new() } else { format!(", {}", self.message) }
    }
}

impl Bar {
    pub(super) fn new(progress: &Progress, name: &str, total: u64, unit: &'static str) -> Self {
        let shown = (progress.mode == Mode::Bars).then(|| {
            let bar = ProgressBar::new(total).with_style(style(unit)).with_prefix(name.to_owned());
            progress.bars.add(bar)
        });
        let now = Instant::now();
        let state = State { done: 0, found: 0, message: String::new(), started: now, printed: now, finished: false };
        let (progress, name) = (progress.clone(), name.to_owned());
        Self { inner: Arc::new(Inner { progress, name, unit, total, shown, state: Mutex::new(state) }) }
    }

    /// An earlier run left `n` units behind: they are done, but say nothing of how fast this one is.
    pub fn found(&self, n: u64) {
        let mut state = self.state();
        state.done += n;
        state.found += n;
        if let Some(bar) = &self.inner.shown {
            bar.inc(n);
            bar.tick();
            bar.reset_eta();
        }
    }

    /// `n` more units are done.
    pub fn advance(&self, n: u64) {
        let line = {
            let mut state = self.state();
            state.done += n;
            let due = self.inner.progress.mode == Mode::Plain && state.printed.elapsed() >= PLAIN_INTERVAL;
            due.then(|| {
                state.printed = Instant::now();
                self.line(&state)
            })
        };
        match (&self.inner.shown, line) {
            (Some(bar), _) => bar.inc(n),
            (None, Some(line)) => self.inner.progress.err(line),
            (None, None) => {}
        }
    }

    /// What to show beside the bar, such as `loss 0.123`.
    pub fn message(&self, message: impl Display) {
        let message = message.to_string();
        if let Some(bar) = &self.inner.shown {
            bar.set_message(message.clone());
        }
        self.state().message = message;
    }

    /// The stage is over: leaves one line behind with what was done and the time it took. The second call does nothing.
    pub fn finish(&self) {
        let line = {
            let mut state = self.state();
            if std::mem::replace(&mut state.finished, true) {
                return;
            }
            self.last_line(&state)
        };
        if let Some(bar) = &self.inner.shown {
            bar.finish_and_clear();
        }
        self.inner.progress.note(line);
    }

    fn line(&self, state: &State) -> String {
        let seconds = state.started.elapsed().as_secs_f64().max(1e-9);
        let rate = (state.done - state.found) as f64 / seconds;
        let left = self.inner.total.saturating_sub(state.done) as f64 / rate.max(1e-9);
        format!(
            "{}: {}/{} {unit}, {rate} {unit}/s, {} left{}",
            self.inner.name,
            state.done,
            self.inner.total,
            duration(Duration::from_secs_f64(left.min(1e9))),
            state.shown_message(),
            unit = self.inner.unit,
            rate = rate_text(rate),
        )
    }

    fn last_line(&self, state: &State) -> String {
        let took = duration(state.started.elapsed());
        let found = if state.found == 0 { String::new() } else { format!(", {} found", state.found) };
        let Inner { name, unit, .. } = &*self.inner;
        let done = state.done - state.found;
        let unit = if done == 1 { unit.trim_end_matches('s') } else { *unit };
        format!("{name}: {done} {unit} in {took}{found}{}", state.shown_message())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A stage that failed must not leave its bar over the error message.
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn style(unit: &'static str) -> ProgressStyle {
    let template = format!("{{prefix:>10}} {{bar:30}} {{pos}}/{{len}} {unit}  {{rate:.dim}}/s  {{eta}} left  {{msg}}");
    // The template is ours; if it were wrong, the default bar would do.
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        // Nothing was measured yet.
        let rate = Some(state.per_sec()).filter(|rate| rate.is_finite()).unwrap_or_default();
        let _ = write!(text, "{}", rate_text(rate));
    };
    style.with_key("rate", rate).progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stage of 2000 images, worked at for 50 s.
    fn worked(found: u64, drawn: u64) -> Bar {
        let bar = Progress::new(Mode::Quiet).stage("synth", 2000, "images");
        bar.found(found);
        bar.advance(drawn);
        bar.message("shard 1");
        bar.state().started = Instant::now().checked_sub(Duration::from_secs(50)).unwrap();
        bar
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let bar = worked(0, 500);
        assert_eq!(bar.line(&bar.state()), "synth: 500/2000 images, 10.00 images/s, 2 min 30 s left, shard 1");
        assert_eq!(bar.last_line(&bar.state()), "synth: 500 images in 50.0 s, shard 1");
    }

    #[test]
    fn what_an_earlier_run_left_behind_makes_nothing_faster() {
        let bar = worked(1400, 100);
        assert_eq!(bar.line(&bar.state()), "synth: 1500/2000 images, 2.00 images/s, 4 min 10 s left, shard 1");
        assert_eq!(bar.last_line(&bar.state()), "synth: 100 images in 50.0 s, 1400 found, shard 1");
        let moving = Progress::new(Mode::Bars).stage("synth", 2000, "images");
        moving.found(1400);
        let shown = moving.inner.shown.as_ref().unwrap();
        assert_eq!(shown.position(), 1400);
        // Nothing an instant that may be too short to measure.
        assert!(shown.per_sec() == 0.0 || shown.per_sec().is_nan(), "{}", shown.per_sec());
    }

    #[test]
    fn the_template_is_valid() {
        assert!(
            ProgressStyle::with_template("{prefix:>10} {bar:30} {pos}/{len} x  {per_sec:.dim}  {eta} left  {msg}")
                .is_ok()
        );
    }
}
