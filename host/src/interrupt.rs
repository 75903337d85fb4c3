//! Ctrl-C and SIGTERM while there is work that the same command goes on with: one line, and an end at once.

use std::ffi::c_int;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::progress::Progress;
use crate::{Context as _, Result};

/// How long the line may take: the reader of a full pipe doesn't hold up the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// From now on these signals end the process with a line on stderr, even when quiet, and the exit code 128 + the signal's number.
///
/// It ends where it stands, as by SIGKILL: files of a run are whole or absent at any instant, so nothing has to be tidied up,
/// and no step has to be waited for. A signal that is ignored, as in a shell's background jobs, stays so.
pub fn watch(progress: &Progress) -> Result<()> {
    let heard = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];
    let heard = heard.into_iter().filter(|&(signal, _)| !ignores(signal));
    for (signal, name) in heard {
        let mut signals = Signals::new([signal]).context(name)?;
        let progress = progress.clone();
        let end = move || {
            if signals.forever().next().is_some() {
                thread::spawn(move || {
                    thread::sleep(PATIENCE);
                    exit(signal);
                });
                progress.last_word(format_args!(
                    "interrupted by {name}: nothing is lost but what came after the last resume point, and the same command goes \
                     on from there"
                ));
                exit(signal);
            }
        };
        thread::Builder::new().name(name.into()).spawn(end).context(name)?;
    }
    Ok(())
}

/// Without the libraries' endings, which don't expect that other threads still compute.
fn exit(signal: c_int) -> ! {
    low_level::exit(128 + signal)
}

/// Whether this process was told to ignore a signal, as far as the system says so.
pub fn ignores(signal: c_int) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (mask >> (signal - 1)) & 1 == 1
}
