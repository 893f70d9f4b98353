//! Fetching one file into the cache, from where an earlier attempt stopped.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use super::{
    cache::Cache,
    client::{Client, Failure, Metadata, Place},
    waiting::{Coming, TICK, pause, wait_for},
};
use crate::files;
use bytes::Bytes;
use longvu_core::{Step, Watch, WatchedStep, text::escape};

/// Attempts in a row that may bring next to nothing before the download fails.
const ATTEMPTS: u32 = 5;
/// Bytes without which an attempt has brought next to nothing.
const PROGRESS: u64 = 1 << 20;
/// Attempts at one file that may be cut off in all, however much each brought.
const CUTS: u32 = 100;
/// Time in which as many bytes as [`PROGRESS`] must come, on the slowest of connections.
const PATIENCE: Duration = Duration::from_secs(600);

/// What to download, and how.
pub struct Request<'a> {
    pub client: &'a Arc<Client>,
    pub cache: &'a Cache,
    /// The repository.
    pub id: &'a str,
    pub commit: &'a str,
    /// The file.
    pub name: &'a str,
    pub watch: &'a Watch,
    /// Bytes that a file of unstated size may have.
    pub unstated: u64,
}

/// Downloads a file; returns its place in the cache.
pub fn fetch(request: &Request<'_>) -> Result<PathBuf, Failure> {
    let &Request { client, cache, id, commit, name, watch, unstated } = request;
    if Path::new(name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        return Err(Failure::Answer(format!("`{name}` is no file name")));
    }
    let place = Place { id: id.to_owned(), commit: commit.to_owned(), name: name.to_owned() };
    let step = watch.step(Step::Download, name, None);
    let metadata = retry(&step, || {
        let (client, place) = (Arc::clone(client), place.clone());
        wait_for(&step, 0, move || async move { client.metadata(&place).await })
    })?;
    let step = watch.step(Step::Download, name, metadata.size);
    let blob = cache.blob(&metadata.etag);
    let _lock = lock(cache, &metadata.etag, &step)?;
    // Another file, or another process while this one waited, may have brought the same content.
    let complete = fs::metadata(&blob).is_ok_and(|found| metadata.size.is_none_or(|size| found.len() == size));
    if !complete {
        let partial = cache.partial(&metadata.etag);
        let transfer = Transfer { client, place: &place, metadata: &metadata, partial: &partial, step, unstated };
        let brought = transfer.run();
        let useless = matches!(brought, Err(Failure::Endless { .. })) || transfer.length() == 0;
        if brought.is_err() && useless {
            // A later attempt cannot go on from nothing, nor from what has no end.
            let _ = fs::remove_file(&partial);
        }
        brought?;
        fs::rename(&partial, &blob).map_err(|e| Failure::Disk(blob.clone(), e))?;
    }
    cache.publish(&metadata.etag, commit, name).map_err(|e| Failure::Disk(blob, e))
}

/// Waits until no other process downloads the content that has `etag`.
fn lock(cache: &Cache, etag: &str, step: &WatchedStep<'_>) -> Result<File, Failure> {
    let mut said = false;
    loop {
        if let Some(lock) = cache.try_lock(etag).map_err(|e| Failure::Disk(cache.blob(etag), e))? {
            return Ok(lock);
        }
        if !said {
            tracing::info!(etag, "another process downloads this file; waiting for it");
            said = true;
        }
        pause(step, 0, TICK)?;
    }
}

/// Tries `request` again while its failures may pass.
pub fn retry<T>(step: &WatchedStep<'_>, mut request: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut failed = 0;
    loop {
        match request() {
            Err(failure) if failure.is_transient() && failed + 1 < ATTEMPTS => {
                rest(step, 0, failed, &failure)?;
                failed += 1;
            }
            other => return other,
        }
    }
}

/// Waits before the next attempt, longer after each that failed.
fn rest(step: &WatchedStep<'_>, done: u64, failed: u32, failure: &Failure) -> Result<(), Failure> {
    tracing::warn!(failure = %escape(&failure.to_string()), "trying again");
    pause(step, done, Duration::from_millis(200 << failed))
}

struct Transfer<'a> {
    client: &'a Arc<Client>,
    place: &'a Place,
    metadata: &'a Metadata,
    partial: &'a Path,
    step: WatchedStep<'a>,
    unstated: u64,
}

impl Transfer<'_> {
    /// Brings the partial file to its full size.
    fn run(&self) -> Result<(), Failure> {
        let mut size = self.metadata.size;
        let (mut failed, mut cuts) = (0, 0);
        self.check_space(size)?;
        loop {
            let start = self.length();
            if size == Some(start) && self.partial.exists() {
                return Ok(self.step.done(start)?);
            }
            match self.attempt(start, &mut size) {
                // Without a stated size the end of the answer is the end of the file.
                Ok(()) if size.is_none() => return Ok(()),
                Ok(()) => {}
                Err(failure) if !failure.is_transient() => return Err(failure),
                Err(failure) => {
                    // A server that cuts off every attempt would otherwise be asked for ever.
                    cuts += 1;
                    failed = if self.length() >= start.saturating_add(PROGRESS) { 0 } else { failed + 1 };
                    if failed == ATTEMPTS || cuts == CUTS {
                        return Err(failure);
                    }
                    rest(&self.step, self.length(), failed, &failure)?;
                }
            }
        }
    }

    /// Checks that what is missing of `size` bytes fits on the disk.
    fn check_space(&self, size: Option<u64>) -> Result<(), Failure> {
        let missing = size.unwrap_or(0).saturating_sub(self.length());
        match self.partial.parent().and_then(files::free_space) {
            Some(free) if missing > free => {
                let reason = format!("{} needs {missing} bytes, and {free} are free", self.place.name);
                let error = std::io::Error::new(std::io::ErrorKind::StorageFull, reason);
                Err(Failure::Disk(self.partial.to_owned(), error))
            }
            _ => Ok(()),
        }
    }

    fn length(&self) -> u64 {
        fs::metadata(self.partial).map_or(0, |found| found.len())
    }

    /// Requests what is missing after `start` bytes and appends it.
    fn attempt(&self, start: u64, size: &mut Option<u64>) -> Result<(), Failure> {
        // More than the whole is of no use.
        let start = if size.is_some_and(|size| start > size) { 0 } else { start };
        let (client, place, metadata) = (Arc::clone(self.client), self.place.clone(), self.metadata.clone());
        let pieces = Coming::from(move |sender| async move {
            if let Err(failure) = send_all(&client, &place, &metadata, start, &sender).await {
                let _ = sender.send(Err(failure));
            }
        });
        let pieces = pieces.map_err(Failure::Thread)?;
        let (start, total) = match pieces.next(&self.step, start)? {
            Some(Ok(Piece::Beginning(start, total))) => (start, total),
            Some(Ok(Piece::Bytes(_))) | None => return Err(self.cut(start, *size, "no answer")),
            // The server holds less than what is here.
            Some(Err(failure @ Failure::Status { status: 416, .. })) => {
                self.open(0)?;
                return Err(failure);
            }
            Some(Err(failure)) => return Err(failure),
        };
        if let (Some(expected), Some(total)) = (*size, total)
            && expected != total
        {
            let reason = format!("{} has {total} bytes where the Hub states {expected}", self.place.name);
            return Err(Failure::Answer(reason));
        }
        *size = size.or(total);
        let mut file = self.open(start)?;
        self.copy(&pieces, &mut file, start, *size)
    }

    /// The partial file, cut to `length` and ready to be appended to.
    fn open(&self, length: u64) -> Result<File, Failure> {
        let disk = |e| Failure::Disk(self.partial.to_owned(), e);
        let file = OpenOptions::new().append(true).create(true).open(self.partial).map_err(disk)?;
        file.set_len(length).map_err(disk)?;
        Ok(file)
    }

    fn copy(&self, pieces: &Pieces, file: &mut File, start: u64, size: Option<u64>) -> Result<(), Failure> {
        let mut done = start;
        let mut pace = Pace::new(PATIENCE, PROGRESS);
        loop {
            let piece = match pieces.next(&self.step, done)? {
                None if size.is_some_and(|size| done < size) => return Err(self.cut(done, size, "end of answer")),
                None => return Ok(()),
                Some(Ok(Piece::Bytes(piece))) => piece,
                Some(Ok(Piece::Beginning(..))) => continue,
                Some(Err(failure)) => return Err(self.cut(done, size, &failure.to_string())),
            };
            done += piece.len() as u64;
            if size.is_none() && done > self.unstated {
                return Err(Failure::Endless { name: self.place.name.clone(), limit: self.unstated });
            }
            if size.is_some_and(|size| done > size) {
                self.open(0)?;
                return Err(Failure::Answer(format!("{} is longer than the Hub states", self.place.name)));
            }
            file.write_all(&piece).map_err(|e| Failure::Disk(self.partial.to_owned(), e))?;
            self.step.done(done)?;
            if !pace.keeps_up(piece.len() as u64) {
                return Err(self.cut(done, size, "it comes too slowly"));
            }
        }
    }

    fn cut(&self, done: u64, size: Option<u64>, reason: &str) -> Failure {
        let of = size.map(|size| format!(" of {size}")).unwrap_or_default();
        Failure::Transfer(format!("{} was cut off after {done}{of} bytes ({reason})", self.place.name))
    }
}

/// What comes of a file.
enum Piece {
    /// Where what follows begins, and the whole file's size where it is stated.
    Beginning(u64, Option<u64>),
    Bytes(Bytes),
}

type Pieces = Coming<Result<Piece, Failure>>;

/// Sends what comes of a file from `start`.
async fn send_all(
    client: &Client,
    place: &Place,
    metadata: &Metadata,
    start: u64,
    sender: &SyncSender<Result<Piece, Failure>>,
) -> Result<(), Failure> {
    let mut body = client.open(place, metadata, start).await?;
    let mut open = sender.send(Ok(Piece::Beginning(body.start, body.size))).is_ok();
    while open && let Some(bytes) = body.next().await? {
        open = sender.send(Ok(Piece::Bytes(bytes))).is_ok();
    }
    Ok(())
}

/// Tells a slow connection from one that holds its other end up on purpose.
struct Pace {
    patience: Duration,
    expected: u64,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(patience: Duration, expected: u64) -> Self {
        Self { patience, expected, since: Instant::now(), bytes: 0 }
    }

    /// Counts `bytes`; false when too few have come for too long.
    fn keeps_up(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.bytes >= self.expected {
            *self = Self::new(self.patience, self.expected);
        }
        self.since.elapsed() <= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_told_from_a_slow_connection() {
        let mut slow = Pace::new(Duration::from_millis(200), 100);
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(80));
            assert!(slow.keeps_up(60));
        }
        let mut trickle = Pace::new(Duration::from_millis(50), 100);
        assert!(trickle.keeps_up(1));
        std::thread::sleep(Duration::from_millis(60));
        assert!(!trickle.keeps_up(1));
    }
}
