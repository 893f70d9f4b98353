//! Threads that each compute the gradients of a part of a batch.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result, limits::WORKERS};

/// A fixed number of workers, each with one thread for everything it calls.
///
/// Small models gain little from dividing one operation among threads, and almost all from dividing the batch.
pub struct Workers(Vec<ThreadPool>);

impl Workers {
    /// As many as asked for, or as there are cores.
    ///
    /// # Errors
    /// More than 4,096, and when threads cannot be started.
    pub fn new(count: Option<usize>) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let count = count.unwrap_or(cores).max(1);
        if count > WORKERS {
            return Err(Error::Setting { name: "workers", value: count.to_string(), expected: "4,096 or fewer" });
        }
        let pool = |_| ThreadPoolBuilder::new().num_threads(1).build();
        let pools: Result<Vec<_>, _> = (0..count).map(pool).collect();
        Ok(Self(pools.map_err(|error| Error::Threads { reason: error.to_string() })?))
    }

    /// Number of workers.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Runs `work` on every item; results in the order of items, whichever worker took which.
    ///
    /// # Errors
    /// The first error, in the order of items.
    pub fn map<T: Send, R: Send>(&self, items: Vec<T>, work: impl Fn(T) -> Result<R> + Sync) -> Result<Vec<R>> {
        let queue = Mutex::new(items.into_iter().enumerate());
        let done = Mutex::new(Vec::new());
        let (queue, done_ref, work) = (&queue, &done, &work);
        thread::scope(|scope| {
            for pool in &self.0 {
                scope.spawn(move || {
                    // The lock must not be held while an item is worked on, as it would be in a `while let`.
                    let next = || lock(queue).next();
                    while let Some((index, item)) = next() {
                        let result = pool.install(|| work(item));
                        lock(done_ref).push((index, result));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn workers_work_at_the_same_time() {
        let (workers, working) = (Workers::new(Some(2)).unwrap(), AtomicUsize::new(0));
        let met = workers.map(vec![(), ()], |()| {
            working.fetch_add(1, Ordering::SeqCst);
            let start = Instant::now();
            while working.load(Ordering::SeqCst) < 2 && start.elapsed() < Duration::from_secs(10) {
                thread::yield_now();
            }
            Ok(working.load(Ordering::SeqCst) == 2)
        });
        assert_eq!(met.unwrap(), [true, true]);
    }

    #[test]
    fn results_keep_the_order_of_items() {
        let workers = Workers::new(Some(3)).unwrap();
        let squares = workers.map((0..50u64).collect(), |i| {
            assert_eq!(rayon::current_num_threads(), 1);
            Ok(i * i)
        });
        assert_eq!(squares.unwrap(), (0..50u64).map(|i| i * i).collect::<Vec<_>>());
        let failed =
            workers.map(vec![1, 2, 3], |i| if i > 1 { Err(Error::Threads { reason: i.to_string() }) } else { Ok(i) });
        assert!(failed.unwrap_err().to_string().contains('2'));
    }
}
