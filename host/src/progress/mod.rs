//! The one printer. Bars on a terminal, a plain line now and then elsewhere, nothing when quiet; stdout carries data only.

mod bar;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressDrawTarget};

pub use self::bar::Bar;
use crate::{Error, Result};

/// As many lines [`Progress::is_new`] keeps.
const LINES: usize = 1000;

/// How much is shown on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Warnings only.
    Quiet,
    /// A line every ten seconds: for logs.
    Plain,
    /// Moving bars: for terminals.
    Bars,
}

impl Mode {
    /// Bars when stderr is a terminal, lines otherwise; nothing when `quiet`.
    pub fn detect(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bars,
            (false, false) => Self::Plain,
        }
    }
}

/// Where stages say what they do. Cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct Progress {
    mode: Mode,
    bars: MultiProgress,
    /// Why a line of data could not be written.
    lost: Arc<Mutex<Option<std::io::Error>>>,
    /// The lines that [`Progress::is_new`] was asked about.
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Progress {
    pub fn new(mode: Mode) -> Self {
        let target = if mode == Mode::Bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { mode, bars: MultiProgress::with_draw_target(target), lost: Arc::default(), told: Arc::default() }
    }

    /// Starts a stage of `total` units (`"images"`, `"steps"`); of those that are there already, tell [`Bar::found`].
    pub fn stage(&self, name: &str, total: u64, unit: &'static str) -> Bar {
        Bar::new(self, name, total, unit)
    }

    /// One line for the user, unless quiet.
    pub fn note(&self, line: impl Display) {
        if self.mode != Mode::Quiet {
            self.err(line);
        }
    }

    /// One line that is shown even when quiet.
    pub fn warn(&self, line: impl Display) {
        self.err(format_args!("warning: {line}"));
    }

    /// One line that is shown even when quiet, and is no warning: the process ends.
    pub fn last_word(&self, line: impl Display) {
        self.err(line);
    }

    /// Whether nobody asked about this line before: for what is said again wherever something is opened again. Of a flood
    /// of lines only the first thousand are new.
    pub fn is_new(&self, line: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        told.len() < LINES && told.insert(line.to_owned())
    }

    /// One line of data on stdout. A closed pipe is no error: the reader has had enough. Any other is told by
    /// [`Progress::written`].
    pub fn data(&self, line: impl Display) {
        let written = self.bars.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{line}").and_then(|()| stdout.flush())
        });
        if let Err(error) = tolerate_closed(written) {
            self.lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
        }
    }

    /// Fails if a line of data could not be written.
    pub fn written(&self) -> Result<()> {
        match self.lost.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            None => Ok(()),
            Some(error) => Err(Error::failed(format!("can't write to stdout: {error}"))),
        }
    }

    fn err(&self, line: impl Display) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        });
    }
}

/// A reader that has had enough is no error.
pub fn tolerate_closed(written: std::io::Result<()>) -> std::io::Result<()> {
    written.or_else(|error| if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// At most `cap` characters of `text`, in which nothing steers a terminal: control characters and the marks that turn
/// the direction of writing become spaces.
pub fn clean(text: &str, cap: usize) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown: String = text.chars().take(cap).map(|c| if steers(c) { ' ' } else { c }).collect();
    if text.chars().nth(cap).is_some() {
        shown.push('…');
    }
    shown
}

/// A duration for people: `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 10 min`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let whole = seconds.round() as u64;
    match whole {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `image` or `images`, `class` or `classes`: the word as it is said of so many.
pub fn plural(count: usize, thing: &str) -> String {
    let end = match count {
        1 => "",
        _ if thing.ends_with('s') => "es",
        _ => "s",
    };
    format!("{thing}{end}")
}

/// `1 image`, `2000 images`.
pub fn counted(count: usize, thing: &str) -> String {
    format!("{count} {}", plural(count, thing))
}

/// A file's size for people: `12 KiB`, `3.4 MiB`.
pub fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A rate for people, to three digits or whole.
pub fn rate_text(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(clean("\u{1b}[2Jred\u{7}\r\nnext\u{202e}", 100), " [2Jred   next ");
        assert_eq!(clean("aaaa", 2), "aa…");
    }

    #[test]
    fn a_line_is_new_once_and_a_flood_is_cut() {
        let progress = Progress::new(Mode::Quiet);
        assert!(progress.is_new("a"));
        assert!(!progress.clone().is_new("a"));
        let shown = (0..100_000).filter(|number| progress.is_new(&number.to_string())).count();
        assert_eq!(shown, LINES - 1);
    }

    #[test]
    fn durations_read_well() {
        let shown = |ms| duration(Duration::from_millis(ms));
        assert_eq!(shown(40), "40 ms");
        assert_eq!(shown(1_500), "1.5 s");
        assert_eq!(shown(245_000), "4 min 05 s");
        assert_eq!(shown(7_800_000), "2 h 10 min");
    }
}
