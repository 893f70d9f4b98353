//! Repositories of the Hugging Face Hub.
//!
//! The cache is the one of Python's `huggingface_hub`: `models--owner--name` with `blobs`, `refs` and `snapshots`,
//! and the same names for unfinished downloads and locks, so that either program goes on where the other stopped.
//! A file that is cached is used without asking the Hub whether it has changed, and a repository whose branch is
//! cached at some commit is completed at that commit, so that files of two versions never mix.
//!
//! A download counts as complete when it has the size that the Hub states; its checksum is not computed, as in
//! Python.

mod cache;
mod client;
mod download;
mod waiting;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use longvu_core::{ErrorKind, Step, Watch};

use self::{
    cache::Cache,
    client::{Client, Failure},
    waiting::wait_for,
};
use crate::{Error, Limits, RepoOptions, Result};

/// A repository of the Hub and its cache.
#[derive(Clone)]
pub struct HubRepo {
    id: String,
    cache: Arc<Cache>,
    /// Absent when only the cache may be used.
    remote: Option<Arc<Client>>,
    listing: Arc<OnceLock<Listing>>,
    watch: Watch,
    limits: Limits,
}

/// What the Hub says about a repository.
struct Listing {
    /// The commit that files are fetched at.
    commit: String,
    files: Vec<String>,
}

impl HubRepo {
    pub fn open(id: &str, options: &RepoOptions) -> Result<Self> {
        let fail = |reason: String| Error::Hub { repo: id.to_owned(), kind: ErrorKind::BadInput, reason };
        let cache = Cache::from_env(id, options.revision.as_deref().unwrap_or("main")).map_err(fail)?;
        let remote = if offline() { None } else { Some(Arc::new(Client::from_env())) };
        Ok(Self {
            id: id.to_owned(),
            cache: Arc::new(cache),
            remote,
            listing: Arc::default(),
            watch: options.watch.clone(),
            limits: options.limits,
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The cache alone.
    pub fn cached_only(&self) -> Self {
        Self { remote: None, ..self.clone() }
    }

    /// What to do about a file that the repository lacks.
    pub fn absence(&self) -> String {
        match self.remote {
            Some(_) => format!("the repository has no such file at revision `{}`; check both", self.cache.revision()),
            None => "not in the local cache, and HF_HUB_OFFLINE is set; unset it to download the file".into(),
        }
    }

    /// The file from the cache, else from the Hub; `None` when the repository has no such file.
    pub fn try_get(&self, name: &str) -> Result<Option<PathBuf>> {
        if let Some(path) = self.cache.get(name) {
            return Ok(Some(path));
        }
        let Some(remote) = &self.remote else { return self.offline_miss(name) };
        let listing = self.list(remote)?;
        if !listing.files.iter().any(|file| file == name) {
            return Ok(None);
        }
        tracing::info!(repo = self.id, file = name, "downloading");
        let request = download::Request {
            client: remote,
            cache: &self.cache,
            id: &self.id,
            commit: &listing.commit,
            name,
            watch: &self.watch,
            unstated: self.limits.unstated_download_bytes,
        };
        download::fetch(&request).map(Some).map_err(|failure| self.error(&failure))
    }

    /// Offline, a file that is not cached counts as absent, unless nothing of the repository is cached at all.
    fn offline_miss(&self, name: &str) -> Result<Option<PathBuf>> {
        if name != "config.json" {
            return Ok(None);
        }
        Err(Error::Hub {
            repo: self.id.clone(),
            kind: ErrorKind::NotFound,
            reason: "not in the local cache, and HF_HUB_OFFLINE is set; unset it, or download the repository first \
                     (`huggingface-cli download`)"
                .into(),
        })
    }

    /// The repository's files and commit, asked for once.
    fn list(&self, remote: &Arc<Client>) -> Result<&Listing> {
        if let Some(listing) = self.listing.get() {
            return Ok(listing);
        }
        let step = self.watch.step(Step::Download, &self.id, None);
        let at = |revision: &str| {
            download::retry(&step, || {
                let (remote, id, revision) = (Arc::clone(remote), self.id.clone(), revision.to_owned());
                wait_for(&step, 0, move || async move { remote.list(&id, &revision).await })
            })
        };
        let listing = match self.cache.commit() {
            Some(commit) => match at(&commit) {
                // The branch was rewritten since: what is cached is no longer on the Hub, so the branch is fetched.
                Err(Failure::Status { status: 404, .. }) => at(self.cache.revision()),
                other => other,
            },
            None => at(self.cache.revision()),
        };
        let listing = listing.map_err(|failure| self.error(&failure))?;
        Ok(self.listing.get_or_init(|| listing))
    }

    fn error(&self, failure: &Failure) -> Error {
        let hint = match failure {
            Failure::Cancelled(cancelled) => return Error::Cancelled(*cancelled),
            Failure::Thread(_) => "end other programs, or raise the limit on processes",
            Failure::Status { status: 401 | 403, .. } => {
                "the repository does not exist, is private or is gated: check the name, and set HF_TOKEN to a token \
                 that may read it"
            }
            Failure::Status { status: 404, .. } => "no such repository, revision or file: check the names",
            Failure::Status { status: 429, .. } => "the Hub limits requests: wait a little, or set HF_TOKEN",
            Failure::Status { .. } | Failure::Transfer(_) => {
                "check the connection; a download that was cut off resumes when started again; set HF_HUB_OFFLINE=1 \
                 to use the cache alone"
            }
            Failure::Disk(..) => "check the space and the permissions of the cache; HF_HOME moves it elsewhere",
            Failure::Answer(_) | Failure::Endless { .. } => {
                "check HF_ENDPOINT: the server does not answer as the Hub does"
            }
        };
        Error::Hub { repo: self.id.clone(), kind: failure.kind(), reason: format!("{failure}; {hint}") }
    }
}

/// An environment variable, unless it is empty.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Whether an environment variable says yes.
fn is_on(name: &str) -> bool {
    env(name).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}

fn offline() -> bool {
    is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE")
}
