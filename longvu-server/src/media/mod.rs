//! What a request names, as a file: uploads, `data:` URLs, URLs of allowed hosts, files of allowed folders.

mod addresses;
mod config;
mod data_url;
mod fetch;
pub(crate) mod files;
mod folder;
mod form;
mod hosts;
pub(crate) mod network;
mod own_folder;
mod store;
mod uploads;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
};

pub(crate) use self::config::{MediaConfig, SetupError};
use self::{
    fetch::Fetcher,
    folder::{Folders, Outside, StopOnDrop},
    own_folder::OwnFolder,
    store::{Account, Blob, Incoming, Writer},
    uploads::{Upload, Uploads},
};
use crate::api_error::ApiError;

/// A video or a picture as a file, which is there as long as this value.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    name: Arc<str>,
    file: MediaFile,
}

#[derive(Debug, Clone)]
enum MediaFile {
    Own(Arc<Blob>),
    Outside(Arc<Outside>),
}

/// Where media come from.
#[derive(Debug)]
pub(crate) struct MediaSources {
    folder: OwnFolder,
    account: Arc<Account>,
    uploads: Arc<Uploads>,
    folders: Arc<Folders>,
    fetcher: Fetcher,
    max_upload: u64,
    idle_time: Duration,
    /// Uploads that may be under way.
    receiving: Semaphore,
}

/// Uploads at once: each takes some megabytes of memory and a file.
const RECEIVING: usize = 64;

impl Media {
    fn own(name: &str, blob: Arc<Blob>) -> Self {
        Self { name: name.into(), file: MediaFile::Own(blob) }
    }

    /// The file. Not for messages.
    pub fn path(&self) -> &Path {
        match &self.file {
            MediaFile::Own(blob) => blob.path(),
            MediaFile::Outside(outside) => &outside.opened,
        }
    }

    /// SHA-256 of the content, in hexadecimal.
    pub fn sha256(&self) -> &str {
        match &self.file {
            MediaFile::Own(blob) => blob.sha256(),
            MediaFile::Outside(outside) => &outside.sha256,
        }
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        match &self.file {
            MediaFile::Own(blob) => blob.bytes(),
            MediaFile::Outside(outside) => outside.state.bytes,
        }
    }

    /// What the client calls it: a file's name, without folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the file is no longer what [`sha256`](Self::sha256) was made of, as one of the operator's may be.
    ///
    /// What was read of it meanwhile belongs to neither content.
    pub fn changed(&self) -> bool {
        match &self.file {
            MediaFile::Own(_) => false,
            MediaFile::Outside(outside) => outside.changed(),
        }
    }
}

impl MediaSources {
    /// Makes the server's folder, and removes those of servers that were killed.
    pub fn new(config: MediaConfig) -> Result<Arc<Self>, SetupError> {
        let MediaConfig { max_upload, max_stored, .. } = config;
        if max_upload > max_stored {
            return Err(SetupError::Limits { max_upload, max_stored });
        }
        let folders = Arc::new(Folders::new(&config.folders)?);
        let fetcher = Fetcher::new(&config)?;
        Ok(Arc::new(Self {
            folder: OwnFolder::below(&config.folder)?,
            account: Account::new(max_stored),
            uploads: Uploads::new(config.max_files),
            folders,
            fetcher,
            max_upload,
            idle_time: config.idle_time,
            receiving: Semaphore::new(RECEIVING),
        }))
    }

    /// Bytes of all files that are kept, or are about to be.
    pub fn stored(&self) -> u64 {
        self.account.used()
    }

    /// Removes all files that the server made. None can be made after that.
    pub fn close(&self) {
        self.folder.remove();
    }

    /// The file that a request means: by a `data:` URL, an id of `/v1/files`, a URL, or a path.
    ///
    /// # Errors
    /// What the client is to change; without `param`, which the caller knows.
    pub async fn resolve(&self, reference: &str) -> Result<Media, ApiError> {
        let reference = reference.trim();
        if data_url::is_data_url(reference) {
            let writer = self.writer()?;
            return Ok(Media::own("data URL", blocking(|| data_url::receive(reference, writer))?));
        }
        if uploads::is_id(reference) {
            return self.uploads.get(reference).map(|Upload { filename, blob, .. }| Media::own(&filename, blob));
        }
        match scheme(reference).as_deref() {
            Some("http" | "https") if !self.fetcher.is_off() => {
                let (name, blob) = self.fetcher.fetch(reference, Incoming::new(self.writer()?)).await?;
                Ok(Media::own(&name, blob))
            }
            None if !reference.is_empty() && !self.folders.is_empty() => self.find(reference).await,
            _ => Err(self.not_accepted()),
        }
    }

    async fn find(&self, reference: &str) -> Result<Media, ApiError> {
        let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
        let (folders, reference, stopped) = (self.folders.clone(), reference.to_owned(), stop.0.clone());
        let found = tokio::task::spawn_blocking(move || folders.find(&reference, &stopped)).await;
        let outside = found.map_err(|error| ApiError::internal(&error))??;
        let name = outside.path.file_name().unwrap_or_default().to_string_lossy().as_ref().into();
        Ok(Media { name, file: MediaFile::Outside(Arc::new(outside)) })
    }

    fn writer(&self) -> Result<Writer, ApiError> {
        Writer::new(self.folder.path(), &self.account, self.max_upload, self.uploads.clone())
    }

    /// 400: which references there are, and which are off.
    fn not_accepted(&self) -> ApiError {
        let off = |off: bool| if off { " (off on this server)" } else { "" };
        ApiError::bad_request(format!(
            "name a video or a picture by a data: URL, the id of an upload to /v1/files, an http or https URL of an allowed host{}, \
             or the path of a file in an allowed folder{}",
            off(self.fetcher.is_off()),
            off(self.folders.is_empty()),
        ))
        .code("invalid_media_reference")
    }
}

/// The scheme of a URL. A single letter is a drive of a path.
fn scheme(reference: &str) -> Option<String> {
    let (scheme, _) = reference.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    valid.then(|| scheme.to_ascii_lowercase())
}

/// Runs what takes long on borrowed values, without keeping the other tasks of this thread waiting where there are threads.
///
/// A `data:` URL may be hundreds of megabytes, which are not copied only to go to another thread.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests;
