//! Waiting for the network, on a thread with a runtime of its own: nobody who may be stopped can wait himself, and whoever
//! calls may stand in a runtime already.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use longvu_core::WatchedStep;

use super::client::Failure;

/// Time between two questions whether to go on, while nothing comes.
pub const TICK: Duration = Duration::from_millis(200);

/// Pieces that may wait to be taken.
const DEPTH: usize = 4;

/// What is brought from the network; dropping this ends the work that brings it.
pub struct Coming<T> {
    pieces: Receiver<T>,
    _awaited: Arc<()>,
}

impl<T: Send + 'static> Coming<T> {
    /// Begins `work`, which sends what it brings.
    pub fn from<F: Future<Output = ()>>(work: impl FnOnce(SyncSender<T>) -> F + Send + 'static) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(DEPTH);
        let _awaited = Arc::new(());
        let awaited = Arc::downgrade(&_awaited);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("longvu-hub".into()).spawn(move || {
            runtime.block_on(async {
                let mut work = pin!(work(sender));
                while tokio::time::timeout(TICK, &mut work).await.is_err() && awaited.strong_count() > 0 {}
            });
            // Looking up a host's address may take long, and cannot be stopped.
            runtime.shutdown_background();
        })?;
        Ok(Self { pieces, _awaited })
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`Failure::Cancelled`] when the watcher of `step`, who is told again and again that `done` is done, wants no more.
    pub fn next(&self, step: &WatchedStep<'_>, done: u64) -> Result<Option<T>, Failure> {
        loop {
            match self.pieces.recv_timeout(TICK) {
                Ok(piece) => return Ok(Some(piece)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => step.done(done)?,
            }
        }
    }
}

/// The result of `work`, unless the watcher of `step` wants no more before it is there.
pub fn wait_for<T: Send + 'static, F: Future<Output = Result<T, Failure>>>(
    step: &WatchedStep<'_>,
    done: u64,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, Failure> {
    step.done(done)?;
    let coming = Coming::from(move |sender| async move { _ = sender.send(work().await) }).map_err(Failure::Thread)?;
    let result = coming.next(step, done)?;
    result.unwrap_or_else(|| Err(Failure::Transfer("the connection's thread ended early".into())))
}

/// Lets `time` pass, unless the watcher of `step` wants no more before.
pub fn pause(step: &WatchedStep<'_>, done: u64, time: Duration) -> Result<(), Failure> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(TICK));
        step.done(done)?;
    }
}
