//! Waiting for other threads without holding up rayon's.
//!
//! A caller may encode, load and ask from rayon's own workers, with `par_iter` over videos for one. A worker that waits
//! does no other work, and if all of them wait for something that needs one of them, nobody ever goes on: resizing and the
//! conversion of weights run in parallel. What a worker waits for therefore runs in a pool of this crate's own, whose
//! workers never wait.

use std::{
    sync::OnceLock,
    thread::{self, Scope, ScopedJoinHandle},
};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// Whether there are threads: a browser has none, and everything is done where it is asked for.
pub(crate) const THREADS: bool = !cfg!(target_family = "wasm");

/// The pool for what others wait for; `None` where the system gives no threads.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let build = || ThreadPoolBuilder::new().thread_name(|i| format!("longvu-ahead-{i}")).build().ok();
    POOL.get_or_init(build).as_ref()
}

/// Where parallel work is to run for somebody who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crew {
    /// Rayon's usual pool: whoever waits is none of its workers.
    Usual,
    /// This crate's own pool.
    Own,
}

impl Crew {
    /// That for what the calling thread is going to wait for.
    pub fn for_waiting() -> Self {
        if is_worker() { Self::Own } else { Self::Usual }
    }

    /// Runs `work`, parallel parts in this crew; its events go where the caller's go. Not to be called by one of rayon's
    /// workers, which would take up other work while it waits.
    pub fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        match pool().filter(|_| self == Self::Own) {
            Some(pool) => {
                let dispatch = tracing::dispatcher::get_default(Clone::clone);
                pool.install(|| tracing::dispatcher::with_default(&dispatch, work))
            }
            None => work(),
        }
    }
}

fn is_worker() -> bool {
    // Where there are no threads, the only one is counted as a worker, and waits for none.
    THREADS && rayon::current_thread_index().is_some()
}

/// Runs `work`, during which the caller holds a lock, without rayon's usual workers: all of them may be waiting for that
/// lock. A worker that calls does nothing else until the end, for what it would take up might want the lock, too.
///
/// # Errors
/// The work's own, and [`Error::Thread`].
pub(crate) fn undisturbed<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if !is_worker() {
        return Crew::Own.run(work);
    }
    thread::scope(|scope| join(spawn_in(scope, || Crew::Own.run(work))?))
}

/// Starts a thread of `scope` whose events go where the caller's go.
///
/// # Errors
/// [`Error::Thread`] when the operating system gives none.
pub(crate) fn spawn_in<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let run = move || tracing::dispatcher::with_default(&dispatch, work);
    thread::Builder::new().spawn_scoped(scope, run).map_err(|source| Error::Thread { source })
}

/// What a thread came to; its panic goes on here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
