//! Work done ahead of time, in order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Results that each worker holds ready.
const READY: usize = 2;

/// The results of a function of the numbers from `first` on, one after the other, made ahead by some workers.
///
/// Worker `k` of `n` makes every `n`-th result, one at a time and on its own thread alone, and rests when two of them wait:
/// threads and memory are bounded, and what comes out does not depend on `n`.
pub struct Feed<T> {
    lines: Vec<Receiver<T>>,
    workers: Vec<JoinHandle<()>>,
    next: usize,
}

impl<T: Send + 'static> Feed<T> {
    /// Begins at once. `end` is the number that is never made; `workers` is at least 1.
    pub fn start(
        first: u64,
        end: u64,
        workers: usize,
        make: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (make, count) = (Arc::new(make), workers.max(1));
        let mut feed = Self { lines: Vec::new(), workers: Vec::new(), next: 0 };
        for worker in 0..count {
            let (sender, receiver) = sync_channel(READY);
            let make = Arc::clone(&make);
            let work = move || {
                for number in (first + worker as u64..end).step_by(count) {
                    // Nobody listens any more: the feed was dropped.
                    if sender.send(make(number)).is_err() {
                        break;
                    }
                }
            };
            feed.lines.push(receiver);
            feed.workers.push(std::thread::Builder::new().name(format!("feed-{worker}")).spawn(work)?);
        }
        Ok(feed)
    }

    /// The next result, waited for if it is not ready; `None` behind the last, and where `make` panicked.
    pub fn take(&mut self) -> Option<T> {
        let line = self.next % self.lines.len();
        self.next += 1;
        self.lines[line].recv().ok()
    }
}

impl<T> Drop for Feed<T> {
    /// Waits for the results that are being made.
    fn drop(&mut self) {
        self.lines.clear();
        for worker in self.workers.drain(..) {
            // Its panic was told when the result was missing.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_workers() {
        for workers in [1, 2, 4, 7] {
            let make = |number: u64| {
                std::thread::sleep(Duration::from_micros(number * 37 % 200));
                number * number
            };
            let mut feed = Feed::start(5, 105, workers, make).unwrap();
            let found: Vec<_> = std::iter::from_fn(|| feed.take()).collect();
            assert_eq!(found, (5..105).map(|number| number * number).collect::<Vec<_>>(), "{workers} workers");
        }
    }

    #[test]
    fn no_more_is_made_than_may_wait() {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let mut feed = Feed::start(0, 1000, 2, |_| MADE.fetch_add(1, Ordering::SeqCst)).unwrap();
        feed.take().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        // Of each worker: what was taken or waits, and one in its hands.
        let made = MADE.load(Ordering::SeqCst);
        assert!((1..=1 + 2 * (READY as u64 + 1)).contains(&made), "{made}");
        drop(feed);
    }

    #[test]
    fn a_panic_ends_the_feed_and_not_the_program() {
        let mut feed = Feed::start(0, 10, 1, |number| assert!(number < 3, "bad image")).unwrap();
        assert_eq!((0..10).map_while(|_| feed.take()).count(), 3);
    }
}
