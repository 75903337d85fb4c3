//! What a policy says, capped and cleaned: a policy can neither flood the log nor steer the terminal.

use std::fmt;
use std::sync::Arc;

use crate::progress::{Progress, clean};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// Where the lines of a policy go: level and text, one clean line at a time.
pub type LogSink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// Lines go to the user with the policy's name before them; those at level debug nowhere.
pub fn to_progress(progress: &Progress, policy: &str) -> LogSink {
    let (progress, policy) = (progress.clone(), policy.to_owned());
    Arc::new(move |level, line| match level {
        Level::Debug => {}
        Level::Info => progress.note(format_args!("policy {policy}: {line}")),
        Level::Warn | Level::Error => progress.warn(format_args!("policy {policy}: {line}")),
    })
}

/// Characters of one line.
const LINE: usize = 1000;
/// Lines of one instance.
const LINES: usize = 1000;

/// The log of one instance.
pub struct Logger {
    sink: LogSink,
    lines: usize,
    /// What was written to stdout or stderr since the last newline.
    partial: Vec<u8>,
    /// The last words at level error, or on stderr: the reason of a crash.
    last_words: Option<String>,
}

impl Logger {
    pub fn new(sink: LogSink) -> Self {
        Self { sink, lines: 0, partial: Vec::new(), last_words: None }
    }

    /// Takes a line from `log`.
    pub fn line(&mut self, level: Level, message: &str) {
        let message = clean(message, LINE);
        if level == Level::Error {
            self.last_words = Some(message.clone());
        }
        self.pass_on(level, &message);
    }

    /// Takes bytes from stdout or stderr; whole lines go to the log.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.flush();
            } else if self.partial.len() < 4 * LINE {
                self.partial.push(byte);
            }
        }
    }

    /// Ends the line that stdout or stderr began, at the end of a call.
    pub fn flush(&mut self) {
        if self.partial.is_empty() {
            return;
        }
        let line = std::mem::take(&mut self.partial);
        let line = clean(&String::from_utf8_lossy(&line), LINE);
        if !line.trim().is_empty() {
            self.pass_on(Level::Info, &line);
            self.last_words.get_or_insert_default().push_str(&line);
        }
    }

    /// The reason of a crash, where the policy told one in this call; forgets it.
    pub fn take_last_words(&mut self) -> Option<String> {
        self.flush();
        self.last_words.take().map(|words| clean(&words, LINE))
    }

    fn pass_on(&mut self, level: Level, message: &str) {
        self.lines += 1;
        match self.lines.cmp(&LINES) {
            std::cmp::Ordering::Less => (self.sink)(level, message),
            std::cmp::Ordering::Equal => {
                (self.sink)(Level::Warn, &format!("more than {LINES} lines: the rest is not shown"));
            }
            std::cmp::Ordering::Greater => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn collecting() -> (Logger, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = lines.clone();
        (Logger::new(Arc::new(move |_, line: &str| into.lock().unwrap().push(line.to_owned()))), lines)
    }

    #[test]
    fn a_flood_is_cut() {
        let (mut log, lines) = collecting();
        (0..100_000).for_each(|_| log.line(Level::Info, "again"));
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), LINES);
        assert!(lines.last().unwrap().contains("not shown"));
    }

    #[test]
    fn stderr_comes_in_lines_and_is_bounded() {
        let (mut log, lines) = collecting();
        log.bytes(b"half ");
        log.bytes(b"line\nrest");
        log.bytes(&vec![b'x'; 1 << 20]);
        assert!(log.take_last_words().unwrap().starts_with("half line"));
        let lines = lines.lock().unwrap();
        assert_eq!(lines[0], "half line");
        assert!(lines[1].chars().count() <= LINE + 1);
    }
}
