//! Parts of a model that come into memory when they are needed.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread,
    time::Duration,
};

use longvu_checkpoint::{Checkpoint, LoadOptions, Weights, check, load};
use longvu_core::{Step, Watch};
use web_time::Instant;

use crate::{
    ErrorKind, Residency, Result,
    threads::{THREADS, join, spawn_in, undisturbed},
};

/// Reads a part from its checkpoint, whose layout has been checked.
pub(crate) type Loader<M> = Box<dyn Fn(&Watch) -> Result<M> + Send + Sync>;

/// A [`Loader`] of what `build` makes of `source`.
///
/// # Errors
/// Missing and misshapen tensors; nothing is read yet.
pub(crate) fn loader<M>(
    source: Arc<Checkpoint>,
    options: LoadOptions,
    build: impl Fn(&Weights) -> M + Send + Sync + 'static,
) -> Result<Loader<M>> {
    check(source.as_ref(), &options, &build)?;
    Ok(Box::new(move |watch| {
        let start = Instant::now();
        let options = options.clone().with_watch(watch.clone());
        let (model, report) = load(source.clone(), &options, &build)?;
        let seconds = start.elapsed().as_secs_f64();
        tracing::info!(part = options.part, parameters = report.parameters, seconds, "loaded");
        Ok(model)
    }))
}

/// How often whoever waits for another's load is asked whether they still want to.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// One thread loads a part, and the others wait for it.
#[derive(Default)]
struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
}

/// The turn of whoever holds it.
struct Taken<'a>(&'a Turn);

impl Turn {
    /// Waits for the turn, unless `watch` says that nobody wants it any more.
    fn take(&self, watch: &Watch) -> Result<Taken<'_>> {
        let waiting = watch.step(Step::Load, "", None);
        loop {
            let mut taken = lock(&self.taken);
            if !*taken {
                *taken = true;
                return Ok(Taken(self));
            }
            let waited = self.free.wait_timeout_while(taken, ASKED_EVERY, |taken| *taken);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            waiting.done(0)?;
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *lock(&self.0.taken) = false;
        self.0.free.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part that stays once it is loaded.
pub(crate) struct Lasting<M> {
    load: Loader<M>,
    turn: Turn,
    model: OnceLock<Arc<M>>,
}

impl<M: Send + Sync> Lasting<M> {
    pub fn new(load: Loader<M>) -> Self {
        Self { load, turn: Turn::default(), model: OnceLock::new() }
    }

    /// The part, loaded if it is not there, of which `watch` is told; a failed attempt leaves the next one free.
    pub fn get(&self, watch: &Watch) -> Result<Arc<M>> {
        if let Some(model) = self.model.get() {
            return Ok(Arc::clone(model));
        }
        let _one_at_a_time = self.turn.take(watch)?;
        if let Some(model) = self.model.get() {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(undisturbed(|| (self.load)(watch))?);
        Ok(Arc::clone(self.model.get_or_init(|| model)))
    }
}

/// A part that may go while nobody uses it.
pub(crate) struct Passing<M> {
    load: Loader<M>,
    /// Whether it stays although nobody uses it.
    stays: bool,
    turn: Turn,
    /// Never locked while something is loaded: whoever watches that may ask what is in memory.
    held: Mutex<Held<M>>,
}

/// Whoever uses a part shares it; the last to let go of one that is not kept frees it.
enum Held<M> {
    Kept(Arc<M>),
    Lent(Weak<M>),
}

impl<M: Send + Sync> Passing<M> {
    pub fn new(load: Loader<M>, residency: Residency) -> Self {
        let stays = residency != Residency::OnDemand;
        Self { load, stays, turn: Turn::default(), held: Mutex::new(Held::Lent(Weak::new())) }
    }

    /// The part, loaded if it is not there. It stays at least until the returned reference is dropped.
    pub fn get(&self, watch: &Watch) -> Result<Arc<M>> {
        if let Some(model) = self.there() {
            return Ok(model);
        }
        let _one_at_a_time = self.turn.take(watch)?;
        if let Some(model) = self.there() {
            return Ok(model);
        }
        let model = Arc::new(undisturbed(|| (self.load)(watch))?);
        *lock(&self.held) =
            if self.stays { Held::Kept(Arc::clone(&model)) } else { Held::Lent(Arc::downgrade(&model)) };
        Ok(model)
    }

    fn there(&self) -> Option<Arc<M>> {
        match &*lock(&self.held) {
            Held::Kept(model) => Some(Arc::clone(model)),
            Held::Lent(model) => model.upgrade(),
        }
    }

    /// Lets go of the part as soon as nobody uses it; the next [`Passing::get`] loads it again.
    pub fn release(&self) {
        let mut held = lock(&self.held);
        if let Held::Kept(model) = &*held {
            *held = Held::Lent(Arc::downgrade(model));
        }
    }

    /// Whether it is in memory.
    pub fn is_loaded(&self) -> bool {
        match &*lock(&self.held) {
            Held::Kept(_) => true,
            Held::Lent(model) => model.strong_count() > 0,
        }
    }
}

/// Something to do that may fail.
type Job<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Runs `jobs` side by side, or where there are no threads one after the other. Of several errors the first in the list is returned, whichever came first, and one of those
/// that were told to stop only where nothing else went wrong.
pub(crate) fn side_by_side(jobs: &[Job<'_>]) -> Result<()> {
    let outcomes: Vec<Result<()>> = if !THREADS {
        jobs.iter().map(|job| job()).collect()
    } else {
        thread::scope(|scope| {
            let threads: Vec<_> = jobs.iter().map(|&job| spawn_in(scope, job)).collect();
            threads.into_iter().map(|thread| join(thread?)).collect()
        })
    };
    let (stopped, failed): (Vec<_>, Vec<_>) =
        outcomes.into_iter().filter_map(Result::err).partition(|error| error.kind() == ErrorKind::Cancelled);
    failed.into_iter().chain(stopped).next().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::{
        ops::ControlFlow,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::Error;

    /// A part that counts how often it was loaded.
    fn counted(failures: usize) -> (Arc<AtomicUsize>, Loader<usize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let load = move |_: &Watch| match counter.fetch_add(1, Ordering::SeqCst) + 1 {
            n if n <= failures => Err(Error::NoFrames),
            n => Ok(n),
        };
        (count, Box::new(load))
    }

    #[test]
    fn a_kept_part_is_loaded_once_until_it_is_released() {
        let (count, load) = counted(0);
        let part = Passing::new(load, Residency::Whole);
        assert!(!part.is_loaded());
        assert_eq!((*part.get(&Watch::default()).unwrap(), *part.get(&Watch::default()).unwrap()), (1, 1));
        let used = part.get(&Watch::default()).unwrap();
        part.release();
        assert_eq!((*part.get(&Watch::default()).unwrap(), part.is_loaded()), (1, true), "it is in use");
        drop(used);
        assert!(!part.is_loaded());
        assert_eq!((*part.get(&Watch::default()).unwrap(), count.load(Ordering::SeqCst)), (2, 2));
    }

    #[test]
    fn a_part_on_demand_goes_with_its_last_user() {
        let (_, load) = counted(0);
        let part = Passing::new(load, Residency::OnDemand);
        let (first, second) = (part.get(&Watch::default()).unwrap(), part.get(&Watch::default()).unwrap());
        assert_eq!((*first, *second), (1, 1));
        drop(first);
        assert!(part.is_loaded());
        drop(second);
        assert!(!part.is_loaded());
        assert_eq!(*part.get(&Watch::default()).unwrap(), 2);
    }

    #[test]
    fn threads_share_one_load_and_a_failure_can_be_tried_again() {
        let (count, load) = counted(1);
        let part = Lasting::new(load);
        assert!(part.get(&Watch::default()).is_err());
        let get = || part.get(&Watch::default()).map(drop);
        side_by_side(&[&get, &get, &get]).unwrap();
        assert_eq!((*part.get(&Watch::default()).unwrap(), count.load(Ordering::SeqCst)), (2, 2));
    }

    #[test]
    fn whoever_waits_for_a_load_can_stop_and_whoever_watches_it_can_ask() {
        let part: Arc<OnceLock<Passing<usize>>> = Arc::default();
        let asked = Arc::clone(&part);
        let (began, load_may_end) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (begin, may_end) = (Arc::clone(&began), Arc::clone(&load_may_end));
        let load = move |watch: &Watch| {
            begin.store(1, Ordering::SeqCst);
            while may_end.load(Ordering::SeqCst) == 0 {
                watch.step(Step::Load, "", None).done(0)?;
                thread::sleep(Duration::from_millis(1));
            }
            Ok(7)
        };
        let part = part.get_or_init(|| Passing::new(Box::new(load), Residency::Whole));
        let asking = Watch::new(move |_| {
            let part = asked.get().unwrap();
            part.release();
            if part.is_loaded() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        thread::scope(|scope| {
            let loading = scope.spawn(|| part.get(&asking).map(|model| *model));
            while began.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            let stopped = part.get(&Watch::new(|_| ControlFlow::Break(()))).unwrap_err();
            assert_eq!(stopped.kind(), ErrorKind::Cancelled);
            load_may_end.store(1, Ordering::SeqCst);
            assert_eq!(loading.join().unwrap().unwrap(), 7);
        });
    }

    #[test]
    fn the_first_error_of_the_list_is_reported() {
        let late = || {
            thread::sleep(std::time::Duration::from_millis(30));
            Err(Error::EmptyQuestion)
        };
        let early = || Err(Error::NoFrames);
        let fine = || Ok(());
        let stopped = || Err(Error::Cancelled(longvu_core::Cancelled));
        assert!(matches!(side_by_side(&[&stopped, &fine]), Err(Error::Cancelled(_))));
        assert!(matches!(side_by_side(&[&stopped, &late, &early]), Err(Error::EmptyQuestion)));
        side_by_side(&[&fine, &fine]).unwrap();
    }
}
