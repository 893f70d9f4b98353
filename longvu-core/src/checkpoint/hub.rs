//! The Hugging Face Hub, through the `hf-hub` crate.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use hf_hub::{
    Cache, CacheRepo, Repo as HubId, RepoType,
    api::{
        Progress,
        sync::{ApiBuilder, ApiError, ApiRepo},
    },
};

use super::{Download, RepoOptions};
use crate::{Error, Result};

/// A repository of the Hub and its cache.
#[derive(Clone)]
pub struct HubRepo {
    id: String,
    cache: Arc<CacheRepo>,
    /// Absent when only the cache may be used.
    remote: Option<Arc<ApiRepo>>,
    files: Arc<OnceLock<Vec<String>>>,
    progress: Option<Download>,
}

impl HubRepo {
    pub fn open(id: &str, options: &RepoOptions) -> Result<Self> {
        let revision = options.revision.clone().unwrap_or_else(|| "main".into());
        let repo = HubId::with_revision(id.to_owned(), RepoType::Model, revision);
        let cache = match env("HF_HUB_CACHE") {
            Some(dir) => Cache::new(dir.into()),
            None => Cache::from_env(),
        };
        let remote = if offline() { None } else { Some(Arc::new(connect(&cache, id)?.repo(repo.clone()))) };
        Ok(Self {
            id: id.to_owned(),
            cache: Arc::new(cache.repo(repo)),
            remote,
            files: Arc::default(),
            progress: options.progress.clone(),
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file from the cache, else from the Hub; `None` when the repository has no such file.
    pub fn try_get(&self, name: &str) -> Result<Option<PathBuf>> {
        if let Some(path) = self.cache.get(name) {
            return Ok(Some(path));
        }
        let Some(remote) = &self.remote else { return self.offline_miss(name) };
        if !self.list(remote)?.iter().any(|file| file == name) {
            return Ok(None);
        }
        tracing::info!(repo = self.id, file = name, "downloading");
        let progress = Report { callback: self.progress.clone(), file: String::new(), done: 0, total: 0 };
        remote.download_with_progress(name, progress).map(Some).map_err(|e| self.error(&e))
    }

    /// Offline, a file that is not cached counts as absent, unless nothing of the repository is cached at all.
    fn offline_miss(&self, name: &str) -> Result<Option<PathBuf>> {
        if name != "config.json" {
            return Ok(None);
        }
        Err(Error::Hub {
            repo: self.id.clone(),
            reason: "not in the local cache, and HF_HUB_OFFLINE is set; unset it, or download the repository first \
                     (`huggingface-cli download`)"
                .into(),
        })
    }

    /// The repository's files, asked for once.
    fn list(&self, remote: &ApiRepo) -> Result<&[String]> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let info = remote.info().map_err(|e| self.error(&e))?;
        let files = info.siblings.into_iter().map(|s| s.rfilename).collect();
        Ok(self.files.get_or_init(|| files))
    }

    fn error(&self, error: &ApiError) -> Error {
        let text = error.to_string();
        let hint = if text.contains("401") || text.contains("403") {
            "the repository does not exist, is private or is gated: check the name, and set HF_TOKEN"
        } else if text.contains("404") {
            "no such repository or file: check the name"
        } else {
            "check the connection; a download that was cut off resumes when started again; set HF_HUB_OFFLINE=1 to \
             use the cache alone"
        };
        Error::Hub { repo: self.id.clone(), reason: format!("{text}; {hint}") }
    }
}

fn connect(cache: &Cache, id: &str) -> Result<hf_hub::api::sync::Api> {
    let mut builder = ApiBuilder::from_cache(cache.clone()).with_progress(false).with_retries(3);
    if let Some(endpoint) = env("HF_ENDPOINT") {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    if let Some(token) = env("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    builder.build().map_err(|e| Error::Hub { repo: id.to_owned(), reason: e.to_string() })
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn offline() -> bool {
    env("HF_HUB_OFFLINE").is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}

/// Passes hf-hub's progress on to the caller.
struct Report {
    callback: Option<Download>,
    file: String,
    done: u64,
    total: u64,
}

impl Progress for Report {
    fn init(&mut self, size: usize, filename: &str) {
        filename.clone_into(&mut self.file);
        self.total = size as u64;
        self.done = 0;
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        if let Some(callback) = &self.callback {
            callback(&self.file, self.done, self.total);
        }
    }

    fn finish(&mut self) {
        if let Some(callback) = &self.callback {
            callback(&self.file, self.total, self.total);
        }
    }
}
