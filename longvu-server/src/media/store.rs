//! Content that the server keeps in files of its own: written within limits, hashed on the way, and gone with its last user.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use sha2::{Digest, Sha256};
use tempfile::TempPath;

use crate::api_error::ApiError;

/// What is written in one go; less is gathered first.
const PIECE: usize = 1 << 20;

/// Bytes on disk, and how many there may be.
#[derive(Debug)]
pub(super) struct Account {
    used: AtomicU64,
    most: u64,
}

/// Bytes that are given back with this value.
#[derive(Debug)]
struct Reservation {
    account: Arc<Account>,
    bytes: u64,
}

/// Something that can make room: removes one thing that nobody uses, or says that there is none.
pub(super) trait MakeRoom: Send + Sync {
    fn make_room(&self) -> bool;
}

/// A file of the server's own, which is removed with this value.
#[derive(Debug)]
pub(super) struct Blob {
    path: TempPath,
    sha256: String,
    reservation: Reservation,
}

/// A blob that is being written. Dropped before its end, it leaves nothing.
pub(super) struct Writer {
    file: File,
    path: TempPath,
    hasher: Sha256,
    reservation: Reservation,
    limit: u64,
    room: Arc<dyn MakeRoom>,
}

/// A blob that is received piece by piece in asynchronous code.
pub(super) struct Incoming {
    writer: Option<Writer>,
    gathered: Vec<u8>,
    received: u64,
    limit: u64,
}

impl Account {
    pub(super) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), most })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: u64) -> bool {
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

impl Reservation {
    fn grow(&mut self, bytes: u64, room: &dyn MakeRoom) -> Result<(), ApiError> {
        while !self.account.try_take(bytes) {
            if !room.make_room() {
                return Err(full());
            }
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Blob {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(super) fn bytes(&self) -> u64 {
        self.reservation.bytes
    }
}

impl Writer {
    /// Begins a file in `folder` of at most `limit` bytes.
    pub(super) fn new(
        folder: &Path,
        account: &Arc<Account>,
        limit: u64,
        room: Arc<dyn MakeRoom>,
    ) -> Result<Self, ApiError> {
        // Such files are their user's alone.
        let file = tempfile::Builder::new().prefix("media-").tempfile_in(folder).map_err(|error| storage(&error))?;
        let (file, path) = file.into_parts();
        let reservation = Reservation { account: account.clone(), bytes: 0 };
        Ok(Self { file, path, hasher: Sha256::new(), reservation, limit, room })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let more = bytes.len() as u64;
        if self.reservation.bytes.saturating_add(more) > self.limit {
            return Err(too_large(self.limit));
        }
        self.reservation.grow(more, &*self.room)?;
        self.file.write_all(bytes).map_err(|error| storage(&error))?;
        self.hasher.update(bytes);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Arc<Blob>, ApiError> {
        if self.reservation.bytes == 0 {
            return Err(ApiError::bad_request("the file is empty"));
        }
        let sha256 = hex(&self.hasher.finalize());
        Ok(Arc::new(Blob { path: self.path, sha256, reservation: self.reservation }))
    }
}

impl Incoming {
    pub(super) fn new(writer: Writer) -> Self {
        Self { limit: writer.limit, writer: Some(writer), gathered: Vec::new(), received: 0 }
    }

    /// How many bytes it takes.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes the next bytes. Written and hashed where that may block.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        if self.received > self.limit {
            return Err(too_large(self.limit));
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn finish(mut self) -> Result<Arc<Blob>, ApiError> {
        self.flush().await?;
        match self.writer {
            Some(writer) => writer.finish(),
            None => Err(gave_up()),
        }
    }

    async fn flush(&mut self) -> Result<(), ApiError> {
        let Some(mut writer) = self.writer.take() else { return Err(gave_up()) };
        let gathered = std::mem::take(&mut self.gathered);
        let written = tokio::task::spawn_blocking(move || writer.write(&gathered).map(|()| (writer, gathered)));
        let (writer, mut gathered) = written.await.map_err(|error| ApiError::internal(&error))??;
        gathered.clear();
        (self.writer, self.gathered) = (Some(writer), gathered);
        Ok(())
    }
}

/// 413: longer than may be.
pub(super) fn too_large(limit: u64) -> ApiError {
    ApiError::too_large(format!("the file is larger than the {limit} bytes that this server takes"))
        .code("file_too_large")
}

/// 503: all that is kept is in use.
pub(super) fn full() -> ApiError {
    ApiError::busy("the server's room for files is taken by those in use; try again later", Duration::from_secs(10))
}

/// What it means to a client that the disk does not take or give bytes.
pub(super) fn storage(error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            tracing::error!(%error, "no room on disk for a file");
            let message = "the server's disk is full; try again later, or delete files that are no longer needed";
            ApiError::new(StatusCode::INSUFFICIENT_STORAGE, message).code("disk_full")
        }
        _ => ApiError::internal(error),
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn gave_up() -> ApiError {
    ApiError::internal(&io::Error::other("a file is written on after an error"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct NoRoom;

    impl MakeRoom for NoRoom {
        fn make_room(&self) -> bool {
            false
        }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn writer(folder: &Path, account: &Arc<Account>, limit: u64) -> Writer {
        Writer::new(folder, account, limit, Arc::new(NoRoom)).unwrap()
    }

    #[test]
    fn content_is_hashed_and_goes_with_its_last_user() {
        let folder = tempfile::tempdir().unwrap();
        let account = Account::new(100);
        let mut writer = writer(folder.path(), &account, 100);
        writer.write(b"a").unwrap();
        writer.write(b"bc").unwrap();
        let blob = writer.finish().unwrap();
        assert_eq!(blob.sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((blob.bytes(), account.used()), (3, 3));
        assert_eq!(std::fs::read(blob.path()).unwrap(), b"abc");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(blob.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let user = blob.clone();
        drop(blob);
        assert!(user.path().exists());
        drop(user);
        assert_eq!((files(folder.path()), account.used()), (vec![], 0));
    }

    #[test]
    fn what_is_too_long_or_left_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let account = Account::new(10);
        let mut long = writer(folder.path(), &account, 5);
        long.write(b"12345").unwrap();
        assert_eq!(long.write(b"6").unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        let mut other = writer(folder.path(), &account, 10);
        assert_eq!(other.write(b"123456").unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        drop(long);
        other.write(b"123456").unwrap();
        drop(other);
        assert_eq!(writer(folder.path(), &account, 10).finish().unwrap_err().status, StatusCode::BAD_REQUEST);
        assert_eq!((files(folder.path()), account.used()), (vec![], 0));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let account = Account::new(u64::MAX);
        let mut writer = writer(folder.path(), &account, u64::MAX);
        writer.file = File::options().write(true).open("/dev/full").unwrap();
        let mut incoming = Incoming::new(writer);
        let error = incoming.push(&vec![0; PIECE]).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (507, Some("disk_full")));
        // An error ends it.
        assert!(incoming.push(&vec![0; PIECE]).await.is_err());
        drop(incoming);
        assert_eq!((files(folder.path()), account.used()), (vec![], 0));
    }

    #[tokio::test]
    async fn pieces_of_any_size_make_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let account = Account::new(u64::MAX);
        let content: Vec<u8> = (0..PIECE * 2 + 1234).map(|i| (i * 7 % 251) as u8).collect();
        for size in [1000, PIECE, PIECE + 1] {
            let mut incoming = Incoming::new(writer(folder.path(), &account, content.len() as u64));
            for piece in content.chunks(size) {
                incoming.push(piece).await.unwrap();
            }
            let blob = incoming.finish().await.unwrap();
            assert_eq!(std::fs::read(blob.path()).unwrap(), content);
            assert_eq!(blob.sha256(), hex(&Sha256::digest(&content)));
        }
    }
}
