//! Waiting for other threads without holding up rayon's.
//!
//! A caller may encode, load and ask from rayon's own workers, with `par_iter` over videos for one. A worker that waits
//! does no other work, and if all of them wait for something that needs one of them, nobody ever goes on: resizing and the
//! conversion of weights run in parallel. What a worker waits for therefore runs in a pool of this crate's own, whose
//! workers never wait.

use std::{cell::Cell, sync::OnceLock, thread};

use rayon::{ThreadPool, ThreadPoolBuilder};

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

thread_local! {
    /// Whether somebody waits for all that this thread does, on one of rayon's workers.
    static AWAITED: Cell<bool> = const { Cell::new(false) };
}

fn is_worker() -> bool {
    rayon::current_thread_index().is_some()
}

impl Crew {
    /// That for what the calling thread is going to wait for.
    pub fn for_waiting() -> Self {
        if is_worker() || AWAITED.get() { Self::Own } else { Self::Usual }
    }

    /// Runs `work`, parallel parts in this crew. Not to be called by one of rayon's workers, which would take up other
    /// work while it waits.
    pub fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        match pool().filter(|_| self == Self::Own) {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Runs the whole of a new thread, whose parts choose this crew for themselves; its events go to `dispatch`.
    pub fn lead<T>(self, dispatch: &tracing::Dispatch, work: impl FnOnce() -> T) -> T {
        AWAITED.set(self == Self::Own);
        tracing::dispatcher::with_default(dispatch, work)
    }
}

/// Runs `work` to its end before anything else is done on this thread: one of rayon's workers might otherwise, in its
/// parallel parts, take up other work that wants a lock which the caller holds.
pub(crate) fn undisturbed<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !is_worker() {
        return Crew::for_waiting().run(work);
    }
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let run = || tracing::dispatcher::with_default(&dispatch, || Crew::Own.run(work));
    let joined = thread::scope(|scope| scope.spawn(run).join());
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
