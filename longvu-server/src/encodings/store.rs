//! Where requests get encodings from: memory, the disk, others' work, or their own.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use longvu::LongVu;
use tokio::{sync::watch, task::spawn_blocking};

use crate::{
    api_error::ApiError,
    encodings::{
        disk::Disk,
        entry::{Entry, Origin},
        flight::{Advance, Boarded, Flights, Job, Promise},
        key::Key,
        memory::Memory,
    },
};

/// The encodings that a server has.
pub(crate) struct Encodings {
    memory: Mutex<Memory>,
    disk: Option<Disk>,
    flights: Arc<Flights>,
    /// Encodings that are on their way to the disk.
    writes: watch::Sender<usize>,
}

/// An encoding, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub entry: Arc<Entry>,
    pub origin: Origin,
}

/// A folder that cannot hold encodings.
#[derive(Debug, thiserror::Error)]
#[error("the folder for encoded videos, `{}`, cannot be used; name one that can be written to", folder.display())]
pub struct FolderError {
    folder: PathBuf,
    source: io::Error,
}

impl Encodings {
    /// Keeps up to `memory` bytes in memory, and up to `disk` bytes in `folder`, which is made.
    ///
    /// Another server may use the same folder. It blocks as long as the folder's files are listed.
    ///
    /// # Errors
    /// A folder that cannot be made or written to.
    pub fn open(memory: u64, folder: Option<&Path>, disk: u64) -> Result<Arc<Self>, FolderError> {
        let open = |folder: &Path| {
            Disk::open(folder, disk).map_err(|source| FolderError { folder: folder.to_owned(), source })
        };
        Ok(Arc::new(Self {
            memory: Mutex::new(Memory::new(memory)),
            disk: folder.map(open).transpose()?,
            flights: Arc::default(),
            writes: watch::Sender::new(0),
        }))
    }

    /// The encoding under `key`: one that is kept, one that somebody is at work on, or what `work` gives.
    ///
    /// `model` reads what is on the disk. `progress` hears of the work, whoever began it. `work` runs on a thread for
    /// blocking calls, for as long as this future or that of another request for the key lives: then its [`Job`] stops. What
    /// it gives is written to the disk later.
    ///
    /// # Errors
    /// Those of the work, which all who wait for it get, and which the next request does not.
    pub async fn get_or_encode<W>(
        self: &Arc<Self>,
        key: &Key,
        model: &LongVu,
        progress: impl Fn(Advance),
        work: W,
    ) -> Result<Found, ApiError>
    where
        W: FnOnce(&Job) -> Result<Entry, ApiError> + Send + 'static,
    {
        let (waiter, began) = match self.flights.board(key, || self.memory().get(key)) {
            Boarded::Known(entry) => {
                self.touch(key);
                return Ok(Found { entry, origin: Origin::Memory });
            }
            Boarded::Waits(waiter) => (waiter, false),
            Boarded::Begins(waiter, promise) => {
                let (this, key, model) = (Arc::clone(self), key.clone(), model.clone());
                spawn_blocking(move || this.work(&key, &model, promise, work));
                (waiter, true)
            }
        };
        let (entry, origin) = waiter.outcome(progress).await?;
        Ok(Found { entry, origin: if began { origin } else { Origin::Shared } })
    }

    /// A sampled frame's picture, a JPEG, as long as the encoding is kept; it may be read from the disk.
    pub fn picture(&self, key: &str, sample: usize) -> Option<Bytes> {
        let key = Key::parse(key)?;
        let kept = self.memory().get(&key);
        let picture = kept.as_ref().and_then(|entry| entry.pictures.get(sample));
        if picture.is_none() && kept.is_some_and(|entry| entry.pictures.are_stored(sample)) {
            // Whoever asks again is to get new ones.
            self.memory().forget(&key);
        }
        picture.or_else(|| self.disk.as_ref()?.pictures(&key)?.get(sample))
    }

    /// Bytes of encodings that are kept in memory.
    pub fn memory_used(&self) -> u64 {
        self.memory().used()
    }

    /// Waits until all that is to be kept on the disk is there.
    pub async fn settled(&self) {
        // The sender is this value's.
        let _ = self.writes.subscribe().wait_for(|writes| *writes == 0).await;
    }

    fn work<W>(self: &Arc<Self>, key: &Key, model: &LongVu, promise: Promise, work: W)
    where
        W: FnOnce(&Job) -> Result<Entry, ApiError>,
    {
        let stored = self.disk.as_ref().and_then(|disk| disk.get(key, model));
        let origin = if stored.is_some() { Origin::Disk } else { Origin::Computed };
        let entry = match stored.map_or_else(|| work(&promise.job()), Ok) {
            Ok(entry) => Arc::new(entry),
            Err(error) => return promise.fulfil(Err(error)),
        };
        self.memory().put(key.clone(), &entry);
        if origin == Origin::Computed {
            self.write(key, &entry);
        }
        promise.fulfil(Ok((entry, origin)));
    }

    /// Writes what was made to the disk, on another thread: nobody waits for it.
    fn write(self: &Arc<Self>, key: &Key, entry: &Arc<Entry>) {
        if self.disk.is_none() {
            return;
        }
        let writing = Writing::new(self);
        let (key, entry) = (key.clone(), Arc::clone(entry));
        spawn_blocking(move || {
            if let Some(disk) = &writing.0.disk {
                disk.put(&key, &entry);
            }
            drop(entry);
        });
    }

    /// Keeps what is used in memory from looking unused on the disk.
    fn touch(self: &Arc<Self>, key: &Key) {
        if self.disk.is_none() {
            return;
        }
        let (writing, key) = (Writing::new(self), key.clone());
        spawn_blocking(move || {
            if let Some(disk) = &writing.0.disk {
                disk.touch(&key);
            }
        });
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those that [`Encodings::settled`] waits for.
struct Writing(Arc<Encodings>);

impl Writing {
    fn new(encodings: &Arc<Encodings>) -> Self {
        encodings.writes.send_modify(|writes| *writes += 1);
        Self(Arc::clone(encodings))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.writes.send_modify(|writes| *writes -= 1);
    }
}
