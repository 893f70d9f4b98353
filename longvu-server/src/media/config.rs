//! What may be named and kept, and why that cannot be.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;

use super::network::{Network, System};

/// What requests may name, and how much of it is kept.
#[derive(Debug, Clone)]
pub(crate) struct MediaConfig {
    /// Where the server makes a folder of its own; several servers may share it.
    pub folder: PathBuf,
    /// Bytes of one file.
    pub max_upload: u64,
    /// Bytes of all files together.
    pub max_stored: u64,
    /// Files of `/v1/files`.
    pub max_files: usize,
    /// Hosts that URLs may name: `example.com`, `*.example.com`, with `:port` or without; none means no URLs.
    pub hosts: Vec<String>,
    /// Folders whose files requests may name; none means no paths.
    pub folders: Vec<PathBuf>,
    /// What fetching a URL may take in all, redirects included.
    pub url_time: Duration,
    /// How long nothing may come of a URL or of an upload.
    pub idle_time: Duration,
    /// Names and addresses.
    pub network: Arc<dyn Network>,
}

/// Why there is no place for media.
#[derive(Debug, Error)]
pub(crate) enum SetupError {
    /// The folder for files, or one that requests may name files of.
    #[error("cannot use the folder {}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{0:?} is no host: write a name or an address as in `example.com`, `*.example.com` or `example.com:8080`")]
    Host(String),
    #[error("files of {max_upload} bytes do not fit in the {max_stored} bytes that may be kept")]
    Limits { max_upload: u64, max_stored: u64 },
    #[error("cannot fetch URLs")]
    Fetch(#[source] reqwest::Error),
}

impl MediaConfig {
    /// Files of 512 MiB, of which 4 GiB and 1,000 are kept; neither URLs nor paths.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            max_upload: 512 << 20,
            max_stored: 4 << 30,
            max_files: 1000,
            hosts: Vec::new(),
            folders: Vec::new(),
            url_time: Duration::from_secs(300),
            idle_time: Duration::from_secs(30),
            network: Arc::new(System),
        }
    }
}
