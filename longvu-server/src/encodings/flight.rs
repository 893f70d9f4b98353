//! Work that several requests wait for and that is done once.
//!
//! It goes on while somebody waits for it. When the last who did is gone, it is told to stop, and whoever comes then starts
//! anew.

use std::{
    collections::{HashMap, hash_map},
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use longvu::{Progress, Step, Watch};
use tokio::sync::watch;

use crate::{
    api_error::ApiError,
    encodings::{
        entry::{Entry, Origin},
        key::Key,
    },
};

/// How far an encoding has come: a [`Progress`] of one's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Advance {
    pub step: Step,
    pub done: u64,
    pub total: Option<u64>,
    /// Since the step began.
    pub seconds: f64,
}

impl From<&Progress<'_>> for Advance {
    fn from(progress: &Progress<'_>) -> Self {
        let Progress { step, done, total, seconds, .. } = *progress;
        Self { step, done, total, seconds }
    }
}

/// What work ends with.
pub(super) type Outcome = Result<(Arc<Entry>, Origin), ApiError>;

/// The work that somebody waits for, as those see it who do it.
#[derive(Clone)]
pub(crate) struct Job(Arc<Flight>);

/// What is shared by work and those who wait for it.
struct Flight {
    stopping: Mutex<Stopping>,
    progress: watch::Sender<Option<Advance>>,
    outcome: watch::Sender<Option<Outcome>>,
}

#[derive(Default)]
struct Stopping {
    stopped: bool,
    /// Called once, when it stops.
    hooks: Vec<Box<dyn FnOnce() + Send>>,
}

impl Flight {
    fn new() -> Self {
        let (progress, outcome) = (watch::Sender::new(None), watch::Sender::new(None));
        Self { stopping: Mutex::default(), progress, outcome }
    }

    fn stop(&self) {
        let hooks = {
            let mut stopping = lock(&self.stopping);
            stopping.stopped = true;
            std::mem::take(&mut stopping.hooks)
        };
        hooks.into_iter().for_each(|hook| hook());
    }
}

impl Job {
    /// Whether nobody waits any more.
    pub fn is_stopped(&self) -> bool {
        lock(&self.0.stopping).stopped
    }

    /// A watcher that tells all who wait, and stops when nobody does any more.
    pub fn watch(&self) -> Watch {
        let job = self.clone();
        Watch::new(move |progress| {
            job.0.progress.send_replace(Some(progress.into()));
            if job.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    /// Calls `hook` when nobody waits any more, at once if that is so; for what waits and is asked by no watcher, as for a
    /// decoder's process.
    pub fn on_stop(&self, hook: impl FnOnce() + Send + 'static) {
        let mut stopping = lock(&self.0.stopping);
        if !stopping.stopped {
            return stopping.hooks.push(Box::new(hook));
        }
        drop(stopping);
        hook();
    }
}

/// The work that is being done, by what it is for.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Waited>>);

struct Waited {
    flight: Arc<Flight>,
    waiters: usize,
}

/// What whoever asks for a key gets.
pub(super) enum Boarded {
    /// What is known already.
    Known(Arc<Entry>),
    /// A place among those who wait for work that others began.
    Waits(Waiter),
    /// The first place, and the work to do.
    Begins(Waiter, Promise),
}

/// Somebody who waits; dropping it gives up.
pub(super) struct Waiter {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

/// The duty to end the work with something; dropping it is an error for all who wait.
pub(super) struct Promise {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

impl Flights {
    /// Joins the work on `key`, or begins it, unless `known` has it.
    pub fn board(self: &Arc<Self>, key: &Key, known: impl FnOnce() -> Option<Arc<Entry>>) -> Boarded {
        let mut flights = lock(&self.0);
        // Work is known before it leaves the list: whoever looks under the lock finds it in one of both.
        if let Some(entry) = known() {
            return Boarded::Known(entry);
        }
        let waiter =
            |flight: &Arc<Flight>| Waiter { flights: Arc::clone(self), key: key.clone(), flight: Arc::clone(flight) };
        match flights.entry(key.clone()) {
            hash_map::Entry::Occupied(mut there) => {
                there.get_mut().waiters += 1;
                Boarded::Waits(waiter(&there.get().flight))
            }
            hash_map::Entry::Vacant(free) => {
                let flight = &free.insert(Waited { flight: Arc::new(Flight::new()), waiters: 1 }).flight;
                let promise = Promise { flights: Arc::clone(self), key: key.clone(), flight: Arc::clone(flight) };
                Boarded::Begins(waiter(flight), promise)
            }
        }
    }

    /// Takes `flight` from the list, if it is the one that is there, and `leaves` says so.
    fn remove(&self, key: &Key, flight: &Arc<Flight>, leaves: impl FnOnce(&mut Waited) -> bool) -> bool {
        let mut flights = lock(&self.0);
        let found = flights.get_mut(key).filter(|waited| Arc::ptr_eq(&waited.flight, flight));
        let leaves = found.is_some_and(leaves);
        if leaves {
            flights.remove(key);
        }
        leaves
    }
}

impl Waiter {
    /// Waits for the outcome; `progress` hears how far the work is, of many steps in a short time only of the last.
    pub async fn outcome(&self, progress: impl Fn(Advance)) -> Outcome {
        let (mut advanced, mut ended) = (self.flight.progress.subscribe(), self.flight.outcome.subscribe());
        // Where the work is already is news, too.
        advanced.mark_changed();
        loop {
            let outcome = ended.borrow_and_update().clone();
            if let Some(outcome) = outcome {
                return outcome;
            }
            // Their senders are held by this waiter, so that neither fails.
            tokio::select! {
                biased;
                _ = ended.changed() => {}
                _ = advanced.changed() => {
                    let advance = *advanced.borrow_and_update();
                    advance.into_iter().for_each(&progress);
                }
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let last = self.flights.remove(&self.key, &self.flight, |waited| {
            waited.waiters -= 1;
            waited.waiters == 0
        });
        if last {
            self.flight.stop();
        }
    }
}

impl Promise {
    /// The work as those see it who do it.
    pub fn job(&self) -> Job {
        Job(Arc::clone(&self.flight))
    }

    /// Ends the work; what it gave is known elsewhere by now.
    pub fn fulfil(self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&self, outcome: Outcome) {
        self.flights.remove(&self.key, &self.flight, |_| true);
        self.flight.outcome.send_if_modified(|slot| {
            let open = slot.is_none();
            if open {
                *slot = Some(outcome);
            }
            open
        });
        // Nothing is left to be stopped.
        lock(&self.flight.stopping).hooks.clear();
    }
}

/// Work that ended without an outcome.
#[derive(Debug, thiserror::Error)]
#[error("the thread that encodes broke down, or was given up by a server that ends")]
struct Broken;

impl Drop for Promise {
    fn drop(&mut self) {
        if self.flight.outcome.borrow().is_none() {
            self.end(Err(ApiError::internal(&Broken)));
        }
    }
}

/// Nothing panics while one of these is locked, and what they guard is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
