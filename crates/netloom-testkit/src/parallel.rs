//! Many calls at the same time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `work(0)` to `work(count - 1)`, at most `at_most` at the same time, and gives back the
/// results in order. The threads inherit the caller's host.
pub fn parallel<T: Send>(count: usize, at_most: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    parallel_with(count, at_most, || (), |(), index| work(index))
}

/// The same, with something that each worker makes for itself and keeps from one call to its next.
pub(crate) fn parallel_with<T: Send, W>(
    count: usize,
    at_most: usize,
    make: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        let worker = || {
            let mut own = make();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                let result = work(&mut own, index);
                done.lock()
                    .unwrap_or_else(|_| panic!("another worker panicked"))
                    .push((index, result));
            }
        };
        let workers: Vec<_> = (0..at_most.min(count))
            .map(|_| scope.spawn(worker))
            .collect();
        for worker in workers {
            // A thread that is not quite gone would keep the host's mount namespace in use.
            let joined = worker.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let mut results = done
        .into_inner()
        .unwrap_or_else(|_| panic!("a worker panicked"));
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
