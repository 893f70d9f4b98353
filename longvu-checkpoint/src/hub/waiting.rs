//! Waiting for the network, on which nobody who may be stopped can wait himself.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use longvu_core::WatchedStep;

use super::client::Failure;

/// Time between two questions whether to go on, while nothing comes.
pub const TICK: Duration = Duration::from_millis(200);

/// Pieces that may wait to be taken.
const DEPTH: usize = 4;

/// What a thread of its own brings from the network.
///
/// Once this is dropped, the thread ends with its next piece, or when the server has been silent for too long.
pub struct Coming<T>(Receiver<T>);

impl<T: Send + 'static> Coming<T> {
    /// Begins `work`, which sends what it brings.
    pub fn from(work: impl FnOnce(SyncSender<T>) + Send + 'static) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(DEPTH);
        thread::Builder::new().name("longvu-hub".into()).spawn(move || work(sender))?;
        Ok(Self(pieces))
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// [`Failure::Cancelled`] when the watcher of `step`, who is told again and again that `done` is done, wants no more.
    pub fn next(&self, step: &WatchedStep<'_>, done: u64) -> Result<Option<T>, Failure> {
        loop {
            match self.0.recv_timeout(TICK) {
                Ok(piece) => return Ok(Some(piece)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => step.done(done)?,
            }
        }
    }
}

/// The result of `work`, unless the watcher of `step` wants no more before it is there.
pub fn wait_for<T: Send + 'static>(
    step: &WatchedStep<'_>,
    done: u64,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    step.done(done)?;
    let coming = Coming::from(move |sender| _ = sender.send(work())).map_err(Failure::Thread)?;
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
