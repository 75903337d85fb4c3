//! Work shared out by items rather than inside operations.
//!
//! The matrix products of a small network are too short to be worth sharing between threads (measured: a DiT of width 128
//! trains as fast with one thread as with two). Whole micro-batches are: each runs on a worker whose operations stay on
//! it.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// One pool of one thread a worker; operations that run in it see a single thread. Empty where threads can't be had.
fn workers() -> &'static [ThreadPool] {
    static WORKERS: OnceLock<Vec<ThreadPool>> = OnceLock::new();
    WORKERS.get_or_init(|| {
        let one = |i| ThreadPoolBuilder::new().num_threads(1).thread_name(move |_| format!("worker-{i}")).build();
        (0..rayon::current_num_threads()).map(one).collect::<Result<_, _>>().unwrap_or_default()
    })
}

/// Applies `f` to every item; the results are in the order of the items, whatever the number of threads.
pub fn map<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // A worker's own operations see one thread: what it shares out further, it does itself.
    if rayon::current_num_threads() < 2 || workers().len() < 2 || items.len() < 2 {
        return items.iter().map(f).collect();
    }
    let workers = workers();
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let share = items.len().div_ceil(workers.len());
    let parts = workers.iter().zip(items.chunks(share)).zip(results.chunks_mut(share));
    std::thread::scope(|scope| {
        for ((worker, items), results) in parts {
            let f = &f;
            scope.spawn(move || {
                worker.install(|| items.iter().zip(results).for_each(|(item, result)| *result = Some(f(item))));
            });
        }
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_keep_their_order_and_operations_their_thread() {
        let items: Vec<usize> = (0..37).collect();
        let found = super::map(&items, |&i| (i * i, rayon::current_num_threads()));
        assert!(found.iter().enumerate().all(|(i, (square, _))| *square == i * i));
        if rayon::current_num_threads() > 1 {
            assert!(found.iter().all(|(_, threads)| *threads == 1));
        }
    }
}
