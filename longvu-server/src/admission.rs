//! Who works now, who waits, and who is sent away: places for requests, and memory.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use longvu::{
    MemoryPlan,
    plan::{Compute, ItemKind, Stage, StageMemory, bytes},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api_error::ApiError;

/// Bytes that one permit stands for.
const UNIT: u64 = 1 << 20;

/// Bodies of up to a [`UNIT`] at once.
const TEXTS: usize = 128;

/// How often a large body is in memory while it is read: as bytes, as JSON, as a reference.
pub(crate) const COPIES: u64 = 3;

/// Places and memory of a server.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    parallel: usize,
    queue: usize,
    waiting: AtomicUsize,
    memory: Arc<Semaphore>,
    total: u64,
    bodies: Arc<Semaphore>,
    /// For bodies without videos in them, which must not wait for those with.
    texts: Arc<Semaphore>,
    /// Seconds that requests take, the latest ones counting most.
    usual: Mutex<f64>,
}

/// A request's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    admission: Arc<Admission>,
    start: Instant,
}

/// Memory that is spoken for, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    /// Room for `parallel` requests and `queue` more that wait, in `memory` bytes; bodies of requests have `bodies` bytes
    /// of their own.
    pub fn new(parallel: usize, queue: usize, memory: u64, bodies: u64) -> Arc<Self> {
        let units = |bytes: u64| (bytes / UNIT).min(u64::from(u32::MAX >> 1)) as usize;
        Arc::new(Self {
            places: Arc::new(Semaphore::new(parallel.max(1))),
            parallel: parallel.max(1),
            queue,
            waiting: AtomicUsize::new(0),
            memory: Arc::new(Semaphore::new(units(memory))),
            total: units(memory) as u64 * UNIT,
            bodies: Arc::new(Semaphore::new(units(bodies))),
            texts: Arc::new(Semaphore::new(TEXTS)),
            usual: Mutex::new(1.0),
        })
    }

    /// A place, after those who came before.
    ///
    /// # Errors
    /// 503 when too many wait already.
    pub async fn enter(self: &Arc<Self>) -> Result<Place, ApiError> {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::begin(self)?;
                let closed = |_| ApiError::busy("the server is stopping", Duration::from_secs(5));
                self.places.clone().acquire_owned().await.map_err(closed)?
            }
        };
        Ok(Place { _permit: permit, admission: Arc::clone(self), start: Instant::now() })
    }

    /// Requests that are worked at, and requests that wait.
    pub fn load(&self) -> (usize, usize) {
        (self.parallel - self.places.available_permits().min(self.parallel), self.waiting.load(Ordering::Relaxed))
    }

    /// Bytes that are spoken for, and all there are.
    pub fn memory(&self) -> (u64, u64) {
        (self.total - (self.memory.available_permits() as u64 * UNIT).min(self.total), self.total)
    }

    /// Memory for a step of a request, once there is.
    ///
    /// # Errors
    /// 413 with the forecast for what does not fit even alone.
    pub async fn reserve(&self, forecast: &Forecast) -> Result<Reserved, ApiError> {
        if forecast.bytes > self.total {
            return Err(ApiError::too_large(forecast.shortage(self.total)).code("memory"));
        }
        let units = forecast.bytes.div_ceil(UNIT).min(self.total / UNIT) as u32;
        let closed = |_| ApiError::busy("the server is stopping", Duration::from_secs(5));
        let permit = self.memory.clone().acquire_many_owned(units).await.map_err(closed)?;
        Ok(Reserved { _permit: permit })
    }

    /// Sends away who waits, and who comes.
    pub fn close(&self) {
        self.places.close();
        self.memory.close();
    }

    /// Memory for the body of a request, which is held several times while it is read.
    ///
    /// # Errors
    /// 503 when other bodies take it.
    pub fn body(&self, length: u64) -> Result<Reserved, ApiError> {
        let (of, units) = match length {
            0..=UNIT => (&self.texts, 1),
            _ => (&self.bodies, length.saturating_mul(COPIES).div_ceil(UNIT)),
        };
        let permit = u32::try_from(units).ok().and_then(|units| of.clone().try_acquire_many_owned(units).ok());
        let permit = permit.ok_or_else(|| {
            let message = "other requests with videos in them are being read; upload videos, or try again";
            ApiError::busy(message, Duration::from_secs(2))
        })?;
        Ok(Reserved { _permit: permit })
    }

    /// When it is worth trying again.
    fn retry_after(&self) -> Duration {
        let usual = self.usual.lock().map_or(1.0, |usual| *usual);
        let turns = (self.queue + self.parallel) as f64 / self.parallel as f64;
        Duration::from_secs_f64((usual * turns).clamp(1.0, 600.0).ceil())
    }

    fn note(&self, seconds: f64) {
        if let Ok(mut usual) = self.usual.lock() {
            *usual = 0.8 * *usual + 0.2 * seconds;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.note(self.start.elapsed().as_secs_f64());
    }
}

/// A request in the queue.
struct Waiting<'a>(&'a Admission);

impl<'a> Waiting<'a> {
    fn begin(admission: &'a Admission) -> Result<Self, ApiError> {
        let begun = admission.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < admission.queue).then_some(waiting + 1)
        });
        match begun {
            Ok(_) => Ok(Self(admission)),
            Err(waiting) => {
                let message =
                    format!("all places are taken, and as many requests wait as may ({waiting}); try again later");
                Err(ApiError::busy(message, admission.retry_after()))
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a part of a request takes beside the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forecast {
    pub bytes: u64,
    /// For whom it is too much: what takes most.
    most: Option<String>,
}

impl Forecast {
    /// Of encoding.
    pub fn of_encoding(plan: &MemoryPlan) -> Self {
        Self::of(plan, &[Stage::LoadDinov2, Stage::Look, Stage::LoadSiglip, Stage::Aggregate])
    }

    /// Of answering.
    pub fn of_answer(plan: &MemoryPlan) -> Self {
        Self::of(plan, &[Stage::LoadLanguageModel, Stage::Fuse, Stage::Prefill, Stage::Generate])
    }

    fn of(plan: &MemoryPlan, steps: &[Stage]) -> Self {
        let compute = plan.settings.compute;
        // The program and the weights are there for all requests.
        let counted = |kind: ItemKind| {
            !matches!(kind, ItemKind::Program | ItemKind::Weights) && (compute == Compute::Cpu || !kind.on_host())
        };
        let sum = |stage: &StageMemory| {
            let items = stage.items.iter().filter(|item| counted(item.kind));
            items.map(|item| item.bytes).fold(0, u64::saturating_add)
        };
        let fullest = plan.stages.iter().filter(|stage| steps.contains(&stage.stage)).max_by_key(|stage| sum(stage));
        let most = fullest.and_then(|stage| {
            let item = stage.items.iter().filter(|item| counted(item.kind)).max_by_key(|item| item.bytes)?;
            Some(format!("{} {} in the step `{}`", item.kind.name(), bytes(item.bytes), stage.stage.name()))
        });
        Self { bytes: fullest.map_or(0, sum), most }
    }

    fn shortage(&self, total: u64) -> String {
        let (needs, total) = (bytes(self.bytes), bytes(total));
        let most = self.most.as_ref().map(|most| format!(" (most of it {most})")).unwrap_or_default();
        format!("this needs {needs} of memory{most}, and the server has {total} for requests; ask about fewer frames")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_waits_or_is_sent_away() {
        let admission = Admission::new(1, 1, 0, 0);
        let first = admission.enter().await.unwrap();
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await }
        });
        while admission.load() != (1, 1) {
            tokio::task::yield_now().await;
        }
        let refused = admission.enter().await.unwrap_err();
        assert_eq!(refused.status.as_u16(), 503);
        assert!(refused.retry_after.unwrap() >= Duration::from_secs(1));
        drop(first);
        drop(waiting.await.unwrap().unwrap());
        assert_eq!(admission.load(), (0, 0));
    }

    #[tokio::test]
    async fn whoever_goes_makes_room_in_the_queue() {
        let admission = Admission::new(1, 1, 0, 0);
        let _first = admission.enter().await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(20), admission.enter()).await;
        assert!(waits.is_err());
        assert_eq!(admission.load(), (1, 0));
    }

    #[tokio::test]
    async fn memory_is_waited_for_and_refused_beyond_all_of_it() {
        let admission = Admission::new(4, 4, 100 << 20, 0);
        let forecast = |bytes| Forecast { bytes, most: None };
        let error = admission.reserve(&forecast(101 << 20)).await.unwrap_err();
        assert_eq!(error.status.as_u16(), 413);
        assert!(error.message.contains("101 MiB") && error.message.contains("100 MiB"), "{}", error.message);
        let held = admission.reserve(&forecast(60 << 20)).await.unwrap();
        assert_eq!(admission.memory(), (60 << 20, 100 << 20));
        let later = forecast(50 << 20);
        let second = admission.reserve(&later);
        assert!(tokio::time::timeout(Duration::from_millis(20), second).await.is_err());
        drop(held);
        admission.reserve(&later).await.unwrap();
    }

    #[test]
    fn bodies_are_bounded_together() {
        let admission = Admission::new(4, 4, 0, 30 << 20);
        let held = admission.body(8 << 20).unwrap();
        assert_eq!(admission.body(8 << 20).unwrap_err().status.as_u16(), 503);
        // Texts have room of their own.
        admission.body(1).unwrap();
        drop(held);
        admission.body(8 << 20).unwrap();
        assert_eq!(admission.body(u64::MAX).unwrap_err().status.as_u16(), 503);
    }
}
